#include "cli/template.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/template_tree.h"

namespace cli {
namespace {

using Json = nlohmann::json;

[[noreturn]] void fail(const std::string& why) {
  throw base::Error(base::ErrorKind::kInvalid, "template: " + why);
}

// A value as Go's fmt prints it with %v.
std::string text_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "<no value>";
  if (value.is_array()) {
    std::string text = "[";
    for (const Json& item : value) text += (text.size() > 1 ? " " : "") + text_of(item);
    return text + "]";
  }
  if (value.is_object()) {
    std::string text = "map[";
    for (const auto& [key, item] : value.items()) {
      text += (text.size() > 4 ? " " : "") + key + ":" + text_of(item);
    }
    return text + "]";
  }
  return value.dump();
}

bool is_true(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.is_null() && !value.empty();
}

std::string string_argument(const Json& value) {
  if (!value.is_string()) fail("wrong type of argument: expected a string, got " + value.dump());
  return value.get<std::string>();
}

int integer_argument(const Json& value) {
  if (!value.is_number_integer())
    fail("wrong type of argument: expected an integer, got " + value.dump());
  return value.get<int>();
}

std::string change_case(std::string text, int (*change)(int)) {
  for (char& c : text) c = static_cast<char>(change(static_cast<unsigned char>(c)));
  return text;
}

std::string title(std::string text) {
  bool at_start = true;
  for (char& c : text) {
    if (at_start) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    at_start = c == ' ' || c == '\t' || c == '-';
  }
  return text;
}

std::string join(const Json& list, const std::string& separator) {
  std::string text;
  bool is_first = true;
  for (const Json& item : list) {
    if (!std::exchange(is_first, false)) text += separator;
    text += text_of(item);
  }
  return text;
}

Json split(const std::string& text, const std::string& separator) {
  Json list = Json::array();
  if (separator.empty()) {
    for (const char c : text) list.push_back(std::string(1, c));
    return list;
  }
  std::size_t start = 0;
  for (std::size_t at = 0; (at = text.find(separator, start)) != std::string::npos;) {
    list.push_back(text.substr(start, at - start));
    start = at + separator.size();
  }
  list.push_back(text.substr(start));
  return list;
}

Json index(Json value, const std::vector<Json>& keys) {
  for (std::size_t i = 1; i < keys.size(); ++i) {
    if (value.is_object() && keys[i].is_string()) {
      const auto found = value.find(keys[i].get<std::string>());
      value = found == value.end() ? Json("") : Json(*found);
    } else if (value.is_array() && keys[i].is_number_integer()) {
      const auto at = keys[i].get<std::size_t>();
      if (at >= value.size())
        fail("error calling index: index out of range: " + std::to_string(at));
      value = Json(value[at]);
    } else if (value.is_null()) {
      return "";
    } else {
      fail("error calling index: cannot index " + text_of(value));
    }
  }
  return value;
}

// slice x 1 3: some of a text's bytes, or of a list.
Json slice(const Json& value, const std::vector<Json>& arguments) {
  if (!value.is_string() && !value.is_array()) fail("error calling slice: cannot slice");
  const std::size_t size =
      value.is_array() ? value.size() : value.get_ref<const std::string&>().size();
  const auto bound = [&](std::size_t i, std::size_t otherwise) {
    if (i >= arguments.size()) return otherwise;
    const int at = integer_argument(arguments[i]);
    if (at < 0 || static_cast<std::size_t>(at) > size) {
      fail("error calling slice: index out of range: " + std::to_string(at));
    }
    return static_cast<std::size_t>(at);
  };
  const std::size_t first = bound(1, 0);
  const std::size_t last = bound(2, size);
  if (first > last) fail("error calling slice: invalid slice index");
  if (value.is_string()) return value.get<std::string>().substr(first, last - first);
  Json part = Json::array();
  for (std::size_t i = first; i < last; ++i) part.push_back(value[i]);
  return part;
}

// printf with %s %v %d %q %t and %%; a width may be given.
std::string format(const std::vector<Json>& arguments) {
  const std::string pattern = string_argument(arguments[0]);
  std::string text;
  std::size_t next = 1;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '%' || i + 1 == pattern.size()) {
      text.push_back(pattern[i]);
      continue;
    }
    std::size_t end = i + 1;
    while (end < pattern.size() &&
           (std::isdigit(static_cast<unsigned char>(pattern[end])) != 0 || pattern[end] == '-')) {
      ++end;
    }
    if (end == pattern.size()) fail("incomplete printf verb");
    if (pattern[end] == '%') {
      text.push_back('%');
      i = end;
      continue;
    }
    if (next >= arguments.size()) fail("printf: missing argument");
    const Json& argument = arguments[next++];
    const std::string shown =
        pattern[end] == 'q' ? Json(text_of(argument)).dump() : text_of(argument);
    int width = 0;
    std::from_chars(pattern.data() + i + 1, pattern.data() + end, width);
    const std::size_t columns = static_cast<std::size_t>(std::min(std::abs(width), 4096));
    const std::string padding(columns > shown.size() ? columns - shown.size() : 0, ' ');
    text += width < 0 ? shown + padding : padding + shown;
    i = end;
  }
  return text;
}

bool compare(const std::string& how, const Json& a, const Json& b) {
  if (how == "eq") return a == b;
  if (how == "ne") return a != b;
  if (how == "lt") return a < b;
  if (how == "le") return a <= b;
  if (how == "gt") return a > b;
  return a >= b;
}

Json call_text_function(const std::string& name, const std::vector<Json>& arguments) {
  if (name == "lower") return change_case(string_argument(arguments[0]), std::tolower);
  if (name == "upper") return change_case(string_argument(arguments[0]), std::toupper);
  if (name == "title") return title(string_argument(arguments[0]));
  if (name == "split")
    return split(string_argument(arguments[0]), string_argument(arguments.at(1)));
  if (name == "join") return join(arguments[0], string_argument(arguments.at(1)));
  if (name == "truncate") {
    return string_argument(arguments[0])
        .substr(0, static_cast<std::size_t>(std::max(0, integer_argument(arguments.at(1)))));
  }
  if (name == "pad") {
    const auto spaces = [&](std::size_t i) {
      return std::string(
          static_cast<std::size_t>(std::clamp(integer_argument(arguments.at(i)), 0, 4096)), ' ');
    };
    const std::string text = string_argument(arguments[0]);
    return text.empty() ? text : spaces(1) + text + spaces(2);
  }
  fail("function \"" + name + "\" not defined");
}

Json call(const std::string& name, const std::vector<Json>& arguments) {
  if (name == "print" || name == "println") {
    std::string text;
    for (const Json& argument : arguments) {
      text += (text.empty() || name == "print" ? "" : " ") + text_of(argument);
    }
    return name == "println" ? text + "\n" : text;
  }
  if (arguments.empty()) fail("wrong number of args for " + name);
  if (name == "json") return arguments[0].dump(-1, ' ', false, Json::error_handler_t::replace);
  if (name == "len") {
    return arguments[0].is_string() ? arguments[0].get_ref<const std::string&>().size()
                                    : arguments[0].size();
  }
  if (name == "index") return index(arguments[0], arguments);
  if (name == "slice") return slice(arguments[0], arguments);
  if (name == "printf") return format(arguments);
  if (name == "not") return !is_true(arguments[0]);
  if (name == "and" || name == "or") {
    for (const Json& argument : arguments) {
      if (is_true(argument) == (name == "or")) return argument;
    }
    return arguments.back();
  }
  for (const char* how : {"eq", "ne", "lt", "le", "gt", "ge"}) {
    if (name != how) continue;
    if (arguments.size() < 2) fail("wrong number of args for " + name);
    return std::any_of(arguments.begin() + 1, arguments.end(),
                       [&](const Json& other) { return compare(name, arguments[0], other); });
  }
  try {
    return call_text_function(name, arguments);
  } catch (const std::out_of_range&) {
    fail("wrong number of args for " + name);
  }
}

class Evaluator {
 public:
  Evaluator(const Json& root, const Template::Methods& methods) : methods_(methods) {
    variables_.emplace_back("", root);
  }

  void render(const std::vector<TemplateNode>& nodes, const Json& dot) {
    for (const TemplateNode& node : nodes) render(node, dot);
  }
  std::string take_text() { return std::move(out_); }

 private:
  void render(const TemplateNode& node, const Json& dot) {
    const std::size_t scope = variables_.size();
    switch (node.kind) {
      case TemplateNode::Kind::kList:
        render(node.children, dot);
        break;
      case TemplateNode::Kind::kText:
        out_ += node.text;
        return;
      case TemplateNode::Kind::kOutput: {
        const Json value = evaluate(node.expression, dot);
        if (node.expression.declares.empty()) {
          out_ += text_of(value);
        } else {
          variables_.emplace_back(node.expression.declares[0], value);
        }
        return;  // a variable lives on after its action
      }
      case TemplateNode::Kind::kIf:
      case TemplateNode::Kind::kWith: {
        const Json value = evaluate(node.expression, dot);
        for (const std::string& name : node.expression.declares)
          variables_.emplace_back(name, value);
        const bool is_with = node.kind == TemplateNode::Kind::kWith;
        if (is_true(value)) {
          render(node.children, is_with ? value : dot);
        } else {
          render(node.otherwise, dot);
        }
        break;
      }
      case TemplateNode::Kind::kRange:
        render_range(node, dot);
        break;
    }
    variables_.resize(scope);
  }

  void render_range(const TemplateNode& node, const Json& dot) {
    const Json list = evaluate(node.expression, dot);
    if (!list.is_array() && !list.is_object() && !list.is_null())
      fail("range can't iterate over " + text_of(list));
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
      render(node.children, item);
      variables_.resize(scope);
      ++position;
    }
  }

  Json evaluate(const TemplateExpression& expression, const Json& dot) {
    std::vector<Json> piped;
    for (const TemplateCommand& command : expression.commands) {
      Json value = run(command, dot, piped);
      piped = {std::move(value)};
    }
    return piped[0];
  }

  Json run(const TemplateCommand& command, const Json& dot, const std::vector<Json>& piped) {
    std::vector<Json> arguments;
    for (std::size_t i = 1; i < command.size(); ++i) arguments.push_back(value_of(command[i], dot));
    arguments.insert(arguments.end(), piped.begin(), piped.end());
    const TemplateOperand& first = command[0];
    if (first.kind == TemplateOperand::Kind::kFunction) return call(first.text, arguments);
    if (arguments.empty()) return value_of(first, dot);
    const auto method = first.fields.empty() ? methods_.end() : methods_.find(first.fields.back());
    if (method == methods_.end()) fail("can't give argument to non-function");
    return method->second(string_argument(arguments[0]));
  }

  Json value_of(const TemplateOperand& operand, const Json& dot) {
    switch (operand.kind) {
      case TemplateOperand::Kind::kDot:
        return fields_of(dot, operand);
      case TemplateOperand::Kind::kVariable:
        for (auto it = variables_.rbegin(); it != variables_.rend(); ++it) {
          if (it->first == operand.text) return fields_of(it->second, operand);
        }
        fail("undefined variable \"$" + operand.text + "\"");
      case TemplateOperand::Kind::kText:
        return operand.text;
      case TemplateOperand::Kind::kInteger: {
        std::int64_t number = 0;
        std::from_chars(operand.text.data(), operand.text.data() + operand.text.size(), number);
        return number;
      }
      case TemplateOperand::Kind::kBool:
        return operand.text == "true";
      case TemplateOperand::Kind::kNil:
        return nullptr;
      case TemplateOperand::Kind::kGroup:
        return fields_of(evaluate(*operand.group, dot), operand);
      case TemplateOperand::Kind::kFunction:
        return call(operand.text, {});
    }
    return nullptr;
  }

  static Json fields_of(const Json& value, const TemplateOperand& operand) {
    const Json* current = &value;
    for (const std::string& field : operand.fields) {
      if (current->is_null()) fail("nil pointer evaluating ." + field);
      if (!current->is_object()) fail("can't evaluate field " + field + " in " + text_of(*current));
      const auto found = current->find(field);
      if (found == current->end()) fail("no such field: ." + field);
      current = &*found;
    }
    return *current;
  }

  const Template::Methods& methods_;
  std::vector<std::pair<std::string, Json>> variables_;
  std::string out_;
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

std::optional<std::vector<Template::Piece>> Template::pieces() const {
  std::vector<Piece> pieces;
  for (const TemplateNode& node : root_->children) {
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

std::optional<std::set<std::string>> Template::fields() const {
  std::set<std::string> fields;
  if (!collect_fields(root_->children, fields)) return std::nullopt;
  return fields;
}

Template::Template(std::string_view text)
    : root_(std::make_unique<TemplateNode>(parse_template(text))) {}
Template::Template(Template&&) noexcept = default;
Template::~Template() = default;

std::string Template::render(const nlohmann::json& value, const Methods& methods) const {
  Evaluator evaluator(value, methods);
  evaluator.render(root_->children, value);
  return evaluator.take_text();
}

}  // namespace cli
