#include "engine/template/template_functions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/query_text.h"
#include "engine/template/template_tree.h"

namespace engine {
namespace {

using Json = nlohmann::json;
using Arguments = TemplateArguments;

constexpr int kMostSpaces = 4096;

std::string float_text(double number) {
  std::array<char, 32> buffer;
  const double size = std::fabs(number);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e21);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number, format);
  return {buffer.data(), result.ptr};
}

const std::string& text_argument(const Json& value) {
  if (!value.is_string())
    fail_template("wrong type of argument: expected string; got " + value.dump());
  return value.get_ref<const std::string&>();
}

int integer_argument(const Json& value) {
  if (!value.is_number_integer())
    fail_template("wrong type of argument: expected integer; got " + value.dump());
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

Json join(const Arguments& arguments) {
  std::string text;
  bool is_first = true;
  for (const Json& item : arguments[0]) {
    if (!std::exchange(is_first, false)) text += text_argument(arguments[1]);
    text += template_text(item);
  }
  return text;
}

Json split(const Arguments& arguments) {
  const std::string& text = text_argument(arguments[0]);
  const std::string& separator = text_argument(arguments[1]);
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

Json truncate(const Arguments& arguments) {
  return text_argument(arguments[0])
      .substr(0, static_cast<std::size_t>(std::max(0, integer_argument(arguments[1]))));
}

Json pad(const Arguments& arguments) {
  const auto spaces = [&](std::size_t i) {
    const int count = std::clamp(integer_argument(arguments[i]), 0, kMostSpaces);
    return std::string(static_cast<std::size_t>(count), ' ');
  };
  const std::string& text = text_argument(arguments[0]);
  return text.empty() ? text : spaces(1) + text + spaces(2);
}

// An index into something of `size` parts; one past the end is good where `end` allows it.
std::size_t position(const Json& value, std::size_t size, std::size_t end, const char* function) {
  const std::string calling = std::string("error calling ") + function + ": ";
  if (!value.is_number_integer()) {
    fail_template(calling + "cannot index slice/array with type " + value.type_name());
  }
  const auto at = value.get<std::int64_t>();
  if (at < 0 || static_cast<std::size_t>(at) >= size + end) {
    fail_template(calling + "index out of range: " + std::to_string(at));
  }
  return static_cast<std::size_t>(at);
}

Json index_of(const Arguments& arguments) {
  Json value = arguments[0];
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    const Json& key = arguments[i];
    if (value.is_object() && key.is_string()) {
      const auto found = value.find(key.get_ref<const std::string&>());
      value = found == value.end() ? Json("") : Json(*found);
    } else if (value.is_array()) {
      value = Json(value[position(key, value.size(), 0, "index")]);
    } else if (value.is_string()) {
      const auto& text = value.get_ref<const std::string&>();
      value = static_cast<unsigned char>(text[position(key, text.size(), 0, "index")]);
    } else if (value.is_null() && key.is_string()) {
      return "";  // a map without entries
    } else {
      fail_template("error calling index: can't index item of type " +
                    std::string(value.type_name()));
    }
  }
  return value;
}

Json slice(const Arguments& arguments) {
  const Json& value = arguments[0];
  if (!value.is_string() && !value.is_array()) {
    fail_template("error calling slice: can't slice item of type " +
                  std::string(value.type_name()));
  }
  if (arguments.size() > 4) fail_template("error calling slice: too many slice indexes");
  if (value.is_string() && arguments.size() == 4) {
    fail_template("error calling slice: cannot 3-index slice a string");
  }
  const std::size_t size =
      value.is_string() ? value.get_ref<const std::string&>().size() : value.size();
  const auto bound = [&](std::size_t i, std::size_t otherwise) {
    return i < arguments.size() ? position(arguments[i], size, 1, "slice") : otherwise;
  };
  const std::size_t start = bound(1, 0);
  const std::size_t end = bound(2, size);
  bound(3, size);
  if (start > end) {
    fail_template("error calling slice: invalid slice index: " + std::to_string(start) + " > " +
                  std::to_string(end));
  }
  if (value.is_string()) return value.get_ref<const std::string&>().substr(start, end - start);
  using Offset = Json::difference_type;
  return Json(Json::array_t(value.begin() + static_cast<Offset>(start),
                            value.begin() + static_cast<Offset>(end)));
}

Json length(const Arguments& arguments) {
  const Json& value = arguments[0];
  if (value.is_string()) return value.get_ref<const std::string&>().size();
  if (value.is_boolean() || value.is_number()) {
    fail_template("error calling len: len of type " + std::string(value.type_name()));
  }
  return value.size();
}

enum class Sort { kNil, kBool, kInteger, kFloat, kText };

Sort sort_of(const Json& value, const std::string& function) {
  if (value.is_null()) return Sort::kNil;
  if (value.is_boolean()) return Sort::kBool;
  if (value.is_number_integer()) return Sort::kInteger;
  if (value.is_number_float()) return Sort::kFloat;
  if (value.is_string()) return Sort::kText;
  fail_template("error calling " + function + ": non-comparable type " + template_text(value));
}

bool are_equal(const Json& a, const Json& b, const std::string& function) {
  const Sort first = sort_of(a, function);
  const Sort second = sort_of(b, function);
  if (first == Sort::kNil || second == Sort::kNil) return first == second;
  if (first != second)
    fail_template("error calling " + function + ": incompatible types for comparison");
  return a == b;
}

bool is_less(const Json& a, const Json& b, const std::string& function) {
  const Sort first = sort_of(a, function);
  const Sort second = sort_of(b, function);
  if (first != second)
    fail_template("error calling " + function + ": incompatible types for comparison");
  if (first == Sort::kBool || first == Sort::kNil) {
    fail_template("error calling " + function + ": invalid type for comparison");
  }
  return a < b;
}

Json equals_any(const Arguments& arguments) {
  return std::any_of(arguments.begin() + 1, arguments.end(),
                     [&](const Json& other) { return are_equal(arguments[0], other, "eq"); });
}

// fmt.Sprint puts spaces between two operands of which neither is a text, Sprintln always.
Json print(const Arguments& arguments) {
  std::string text;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (i > 0 && !arguments[i].is_string() && !arguments[i - 1].is_string()) text += ' ';
    text += template_text(arguments[i]);
  }
  return text;
}

Json println(const Arguments& arguments) {
  std::string text;
  for (const Json& argument : arguments) {
    if (&argument != &arguments.front()) text += ' ';
    text += template_text(argument);
  }
  return text + "\n";
}

using Escapes = std::map<char, const char*>;

std::string escape(const Json& value, const Escapes& escapes) {
  std::string text;
  for (const char c : value.get_ref<const std::string&>()) {
    const auto found = escapes.find(c);
    if (found == escapes.end()) {
      text += c;
    } else {
      text += found->second;
    }
  }
  return text;
}

Json html(const Arguments& arguments) {
  static const Escapes kEscapes = {
      {'<', "&lt;"}, {'>', "&gt;"}, {'&', "&amp;"}, {'\'', "&#39;"}, {'"', "&#34;"}};
  return escape(print(arguments), kEscapes);
}

Json script(const Arguments& arguments) {
  static const Escapes kEscapes = {
      {'<', "\\u003C"}, {'>', "\\u003E"}, {'&', "\\u0026"},  {'=', "\\u003D"},  {'\'', "\\'"},
      {'"', "\\\""},    {'\\', "\\\\"},   {'\n', "\\u000A"}, {'\r', "\\u000D"}, {'\t', "\\u0009"}};
  return escape(print(arguments), kEscapes);
}

Json url_query(const Arguments& arguments) {
  return base::escape_query(print(arguments).get<std::string>());
}

struct Function {
  std::size_t least = 0, most = 0;  // arguments
  Json (*call)(const Arguments&) = nullptr;
};

constexpr std::size_t kMany = SIZE_MAX;

const std::map<std::string, Function, std::less<>>& functions() {
  static const std::map<std::string, Function, std::less<>> kFunctions = {
      {"and", {1, kMany, nullptr}},
      {"or", {1, kMany, nullptr}},
      {"json",
       {1, 1,
        [](const Arguments& a) -> Json {
          return a[0].dump(-1, ' ', false, Json::error_handler_t::replace);
        }}},
      {"lower",
       {1, 1,
        [](const Arguments& a) -> Json { return change_case(text_argument(a[0]), std::tolower); }}},
      {"upper",
       {1, 1,
        [](const Arguments& a) -> Json { return change_case(text_argument(a[0]), std::toupper); }}},
      {"title", {1, 1, [](const Arguments& a) -> Json { return title(text_argument(a[0])); }}},
      {"split", {2, 2, split}},
      {"join", {2, 2, join}},
      {"truncate", {2, 2, truncate}},
      {"pad", {3, 3, pad}},
      {"index", {1, kMany, index_of}},
      {"slice", {1, kMany, slice}},
      {"len", {1, 1, length}},
      {"print", {0, kMany, print}},
      {"println", {0, kMany, println}},
      {"printf", {1, kMany, [](const Arguments& a) -> Json { return template_printf(a); }}},
      {"html", {1, kMany, html}},
      {"js", {1, kMany, script}},
      {"urlquery", {1, kMany, url_query}},
      {"call",
       {1, kMany,
        [](const Arguments&) -> Json { fail_template("error calling call: non-function"); }}},
      {"not", {1, 1, [](const Arguments& a) -> Json { return !is_template_true(a[0]); }}},
      {"eq", {2, kMany, equals_any}},
      {"ne", {2, 2, [](const Arguments& a) -> Json { return !are_equal(a[0], a[1], "ne"); }}},
      {"lt", {2, 2, [](const Arguments& a) -> Json { return is_less(a[0], a[1], "lt"); }}},
      {"gt", {2, 2, [](const Arguments& a) -> Json { return is_less(a[1], a[0], "gt"); }}},
      {"le", {2, 2, [](const Arguments& a) -> Json { return !is_less(a[1], a[0], "le"); }}},
      {"ge", {2, 2, [](const Arguments& a) -> Json { return !is_less(a[0], a[1], "ge"); }}}};
  return kFunctions;
}

}  // namespace

bool is_template_function(const std::string& name) { return functions().contains(name); }

Json call_template_function(const std::string& name, const Arguments& arguments) {
  const Function& function = functions().find(name)->second;
  if (arguments.size() < function.least || arguments.size() > function.most) {
    fail_template("wrong number of args for " + name + ": want " +
                  (function.most == function.least ? "" : "at least ") +
                  std::to_string(function.least) + " got " + std::to_string(arguments.size()));
  }
  return function.call == nullptr ? arguments.back() : function.call(arguments);
}

std::string template_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "<no value>";
  if (value.is_number_float()) return float_text(value.get<double>());
  if (value.is_array()) {
    std::string text = "[";
    for (const Json& item : value) text += (text.size() > 1 ? " " : "") + template_text(item);
    return text + "]";
  }
  if (value.is_object()) {
    std::string text = "map[";
    for (const auto& [key, item] : value.items()) {
      text += (text.size() > 4 ? " " : "") + key + ":" + template_text(item);
    }
    return text + "]";
  }
  return value.dump();
}

bool is_template_true(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_number()) return value != 0;
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  return !value.is_null() && !value.empty();
}

}  // namespace engine
