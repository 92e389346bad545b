// TemplateNode and TemplateExpression: a parsed template; shared by its parser and its evaluator.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cli {

// One word of a command and the fields that follow it: .A.B, $x.A, "text", 12, (pipeline).A, len.
struct TemplateExpression;
struct TemplateOperand {
  enum class Kind {
    kDot,
    kVariable,
    kText,
    kInteger,
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
  std::vector<std::string> declares;      // {{range $i, $x := …}}
  std::vector<TemplateCommand> commands;  // the value of each is the last argument of the next
};

struct TemplateNode {
  enum class Kind { kList, kText, kOutput, kIf, kWith, kRange } kind = Kind::kList;
  std::string text;
  TemplateExpression expression;
  std::vector<TemplateNode> children;
  std::vector<TemplateNode> otherwise;  // after {{else}}
};

// Throws kInvalid.
TemplateNode parse_template(std::string_view text);

}  // namespace cli
