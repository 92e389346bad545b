#include "engine/template/template.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/template/template_absent.h"
#include "engine/template/template_functions.h"
#include "engine/template/template_tree.h"

namespace engine {
namespace {

using Json = nlohmann::json;

constexpr int kMaxTemplateDepth = 200;  // of {{template}} within {{template}}

Json integer_of(const std::string& text) {
  return static_cast<std::int64_t>(std::strtoll(text.c_str(), nullptr, 0));
}

class Evaluator {
 public:
  Evaluator(const TemplateTree& tree, const Template::Methods& methods)
      : tree_(tree), methods_(methods) {}

  std::string run(const Json& root) {
    variables_.emplace_back("", root);
    render(tree_.nodes, root);
    return std::move(out_);
  }

 private:
  // What {{break}} and {{continue}} do to the nodes behind them.
  enum class Flow { kGoOn, kBreak, kContinue };

  Flow render(const std::vector<TemplateNode>& nodes, const Json& dot) {
    for (const TemplateNode& node : nodes) {
      if (const Flow flow = render(node, dot); flow != Flow::kGoOn) return flow;
    }
    return Flow::kGoOn;
  }

  Flow render(const TemplateNode& node, const Json& dot) {
    const std::size_t scope = variables_.size();
    Flow flow = Flow::kGoOn;
    switch (node.kind) {
      case TemplateNode::Kind::kText:
        out_ += node.text;
        return flow;
      case TemplateNode::Kind::kOutput:
        output(node, dot);
        return flow;  // a variable lives on after its action
      case TemplateNode::Kind::kBreak:
        return Flow::kBreak;
      case TemplateNode::Kind::kContinue:
        return Flow::kContinue;
      case TemplateNode::Kind::kTemplate:
        call_template(node, dot);
        break;
      case TemplateNode::Kind::kIf:
      case TemplateNode::Kind::kWith:
        flow = render_branch(node, dot);
        break;
      case TemplateNode::Kind::kRange:
        flow = render_range(node, dot);
        break;
    }
    variables_.resize(scope);
    return flow;
  }

  void output(const TemplateNode& node, const Json& dot) {
    nil_text_.clear();
    Json value = evaluate(node.expression, dot);
    if (node.expression.declares.empty()) {
      const bool is_nil = value.is_null() && !nil_text_.empty() && is_one_word(node.expression);
      out_ += is_nil ? nil_text_ : template_text(value);
    } else if (node.expression.assigns) {
      variable(node.expression.declares[0]) = std::move(value);
    } else {
      variables_.emplace_back(node.expression.declares[0], std::move(value));
    }
  }

  Flow render_branch(const TemplateNode& node, const Json& dot) {
    const Json value = evaluate(node.expression, dot);
    declare(node.expression, value);
    if (!is_template_true(value)) return render(node.otherwise, dot);
    return render(node.children, node.kind == TemplateNode::Kind::kWith ? value : dot);
  }

  void declare(const TemplateExpression& expression, const Json& value) {
    for (const std::string& name : expression.declares) {
      if (expression.assigns) {
        variable(name) = value;
      } else {
        variables_.emplace_back(name, value);
      }
    }
  }

  Flow render_range(const TemplateNode& node, const Json& dot) {
    const Json list = evaluate(node.expression, dot);
    if (!list.is_array() && !list.is_object() && !list.is_null())
      fail_template("range can't iterate over " + template_text(list));
    if (list.empty()) return render(node.otherwise, dot);
    const auto& names = node.expression.declares;
    std::size_t position = 0;
    for (const auto& [key, item] : list.items()) {
      const std::size_t scope = variables_.size();
      if (names.size() == 2) {
        variables_.emplace_back(names[0], list.is_array() ? Json(position) : Json(key));
        variables_.emplace_back(names[1], item);
      } else if (names.size() == 1) {
        variables_.emplace_back(names[0], item);
      }
      const Flow flow = render(node.children, item);
      variables_.resize(scope);
      if (flow == Flow::kBreak) break;
      ++position;
    }
    return Flow::kGoOn;
  }

  // It sees its argument only, as $ and as the dot.
  void call_template(const TemplateNode& node, const Json& dot) {
    const auto named = tree_.named.find(node.text);
    if (named == tree_.named.end()) fail_template("template \"" + node.text + "\" not defined");
    if (++depth_ > kMaxTemplateDepth) fail_template("exceeded maximum template depth");
    const Json value = node.expression.commands.empty() ? Json() : evaluate(node.expression, dot);
    auto outer = std::exchange(variables_, {{"", value}});
    render(named->second, value);
    variables_ = std::move(outer);
    --depth_;
  }

  Json& variable(const std::string& name) {
    for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
      if (it->first == name) return it->second;
    }
    fail_template("undefined variable \"$" + name + "\"");
  }

  Json evaluate(const TemplateExpression& expression, const Json& dot) {
    std::optional<Json> piped;
    for (const TemplateCommand& command : expression.commands) piped = run(command, dot, piped);
    return std::move(*piped);
  }

  Json run(const TemplateCommand& command, const Json& dot, const std::optional<Json>& piped) {
    const TemplateOperand& first = command[0];
    if (first.kind == TemplateOperand::Kind::kFunction) {
      if (first.text == "and" || first.text == "or") return choose(command, dot, piped);
      Json value = call_template_function(first.text, arguments_of(command, dot, piped));
      return fields_of(value, first);
    }
    if (first.kind == TemplateOperand::Kind::kNil) fail_template("nil is not a command");
    if (command.size() == 1 && !piped) return value_of(first, dot);
    const auto arguments = arguments_of(command, dot, piped);
    const auto method = first.fields.empty() ? methods_.end() : methods_.find(first.fields.back());
    if (method == methods_.end()) fail_template("can't give argument to non-function");
    if (!arguments[0].is_string()) fail_template("wrong type of argument: expected string");
    return method->second(arguments[0].get<std::string>());
  }

  TemplateArguments arguments_of(const TemplateCommand& command, const Json& dot,
                                 const std::optional<Json>& piped) {
    TemplateArguments arguments;
    for (std::size_t i = 1; i < command.size(); ++i) arguments.push_back(value_of(command[i], dot));
    if (piped) arguments.push_back(*piped);
    return arguments;
  }

  // `and` and `or`: the first argument that decides; those behind it are not looked at.
  Json choose(const TemplateCommand& command, const Json& dot, const std::optional<Json>& piped) {
    const bool wanted = command[0].text == "or";
    TemplateArguments seen;
    for (std::size_t i = 1; i < command.size(); ++i) {
      seen.assign(1, value_of(command[i], dot));
      if (is_template_true(seen[0]) == wanted) return seen[0];
    }
    if (piped) seen.assign(1, *piped);
    return call_template_function(command[0].text, seen);
  }

  Json value_of(const TemplateOperand& operand, const Json& dot) {
    switch (operand.kind) {
      case TemplateOperand::Kind::kDot:
        return fields_of(dot, operand);
      case TemplateOperand::Kind::kVariable:
        return fields_of(variable(operand.text), operand);
      case TemplateOperand::Kind::kText:
        return operand.text;
      case TemplateOperand::Kind::kInteger:
        return integer_of(operand.text);
      case TemplateOperand::Kind::kFloat:
        return std::strtod(operand.text.c_str(), nullptr);
      case TemplateOperand::Kind::kBool:
        return operand.text == "true";
      case TemplateOperand::Kind::kNil:
        return nullptr;
      case TemplateOperand::Kind::kGroup:
        return fields_of(evaluate(*operand.group, dot), operand);
      case TemplateOperand::Kind::kFunction:
        return fields_of(call_template_function(operand.text, {}), operand);
    }
    return nullptr;
  }

  // A name that starts with a small letter is no field of docker's: it is the key of a map, which
  // may have no such entry.
  Json fields_of(const Json& value, const TemplateOperand& operand) {
    const Json* current = &value;
    nil_text_.clear();
    for (const std::string& field : operand.fields) {
      if (current->is_null()) fail_template("nil pointer evaluating interface {}." + field);
      if (!current->is_object()) {
        fail_template("can't evaluate field " + field + " in " + template_text(*current));
      }
      const auto found = current->find(field);
      const bool is_missing = found == current->end();
      const bool is_last = &field == &operand.fields.back();
      if (is_last && (is_missing || found->is_null())) {
        if (const auto kind = find_absent_field(*current, field)) {
          nil_text_ = absent_text(*kind);
          return absent_value(*kind);
        }
      }
      if (is_missing) {
        if (std::islower(static_cast<unsigned char>(field[0])) != 0) return nullptr;
        fail_template("map has no entry for key \"" + field + "\"");
      }
      current = &*found;
    }
    return *current;
  }

  static bool is_one_word(const TemplateExpression& expression) {
    return expression.commands.size() == 1 && expression.commands[0].size() == 1;
  }

  const TemplateTree& tree_;
  const Template::Methods& methods_;
  std::string nil_text_;  // how the nil that was looked up last is printed; "": it has no type
  std::vector<std::pair<std::string, Json>> variables_;
  std::string out_;
  int depth_ = 0;
};

bool is_field(const TemplateNode& node) {
  const TemplateExpression& expression = node.expression;
  if (node.kind != TemplateNode::Kind::kOutput || !expression.declares.empty()) return false;
  if (expression.commands.size() != 1 || expression.commands[0].size() != 1) return false;
  const TemplateOperand& operand = expression.commands[0][0];
  return operand.kind == TemplateOperand::Kind::kDot && operand.fields.size() == 1;
}

// False where the value as a whole is used.
bool collect_fields(const TemplateExpression& expression, std::set<std::string>& fields) {
  for (const TemplateCommand& command : expression.commands) {
    for (const TemplateOperand& operand : command) {
      if (operand.group && !collect_fields(*operand.group, fields)) return false;
      const bool is_root =
          operand.kind == TemplateOperand::Kind::kDot ||
          (operand.kind == TemplateOperand::Kind::kVariable && operand.text.empty());
      if (is_root && operand.fields.empty()) return false;
      if (is_root) fields.insert(operand.fields.front());
    }
  }
  return true;
}

bool collect_fields(const std::vector<TemplateNode>& nodes, std::set<std::string>& fields) {
  return std::all_of(nodes.begin(), nodes.end(), [&](const TemplateNode& node) {
    return collect_fields(node.expression, fields) && collect_fields(node.children, fields) &&
           collect_fields(node.otherwise, fields);
  });
}

}  // namespace

void fail_template(const std::string& why) {
  throw base::Error(base::ErrorKind::kInvalid, "template parsing error: template: :1: " + why);
}

std::optional<std::vector<Template::Piece>> Template::pieces() const {
  std::vector<Piece> pieces;
  for (const TemplateNode& node : tree_->nodes) {
    if (node.kind == TemplateNode::Kind::kText) {
      pieces.push_back({.text = node.text});
    } else if (is_field(node)) {
      pieces.push_back({.text = node.expression.commands[0][0].fields[0], .is_field = true});
    } else {
      return std::nullopt;
    }
  }
  return pieces;
}

// A named template sees what it is given: where that is the whole value, any field counts.
std::optional<std::set<std::string>> Template::fields() const {
  std::set<std::string> fields;
  if (!collect_fields(tree_->nodes, fields)) return std::nullopt;
  return fields;
}

Template::Template(std::string_view text)
    : tree_(std::make_unique<TemplateTree>(parse_template(text))) {}
Template::Template(Template&&) noexcept = default;
Template::~Template() = default;

std::string Template::render(const nlohmann::json& value, const Methods& methods) const {
  return Evaluator(*tree_, methods).run(value);
}

}  // namespace engine
