// TemplateTree: a parsed template; shared by its parser and its evaluator.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace engine {

// One word of a command and the fields that follow it: .A.B, $x.A, "text", 12, (pipeline).A, len.
struct TemplateExpression;
struct TemplateOperand {
  enum class Kind {
    kDot,
    kVariable,
    kText,
    kInteger,
    kFloat,
    kBool,
    kNil,
    kGroup,
    kFunction
  } kind = Kind::kDot;
  std::string text;                 // variable, literal or function
  std::vector<std::string> fields;  // looked up one after the other
  std::shared_ptr<TemplateExpression> group;
};

using TemplateCommand = std::vector<TemplateOperand>;

struct TemplateExpression {
  std::vector<std::string> declares;  // {{range $i, $x := …}}, or the variable of {{$x = …}}
  bool assigns = false;               // to one that exists
  std::vector<TemplateCommand> commands;  // the value of each is the last argument of the next
};

struct TemplateNode {
  enum class Kind {
    kText,
    kOutput,
    kIf,
    kWith,
    kRange,
    kBreak,
    kContinue,
    kTemplate
  } kind = Kind::kText;
  std::string text;  // or the name of kTemplate
  TemplateExpression expression;
  std::vector<TemplateNode> children;
  std::vector<TemplateNode> otherwise;  // after {{else}}
};

struct TemplateTree {
  std::vector<TemplateNode> nodes;
  std::map<std::string, std::vector<TemplateNode>> named;  // {{define}} and {{block}}
};

// Throws kInvalid.
TemplateTree parse_template(std::string_view text);

// "template parsing error: template: :1: …", as docker calls every error of a template.
[[noreturn]] void fail_template(const std::string& why);

}  // namespace engine
