#include "engine/template/template_scan.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "engine/template/template_functions.h"

namespace engine {
namespace {

constexpr int kMaxParentheses = 100;  // they are read by recursion
constexpr std::string_view kSpace = " \t\r\n";

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_space(char c) { return kSpace.find(c) != std::string_view::npos; }

}  // namespace

void append_utf8(std::string& out, std::uint32_t code) {
  const auto add = [&](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0U | code >> 6U);
  } else {
    if (code < 0x10000) {
      add(0xE0U | code >> 12U);
    } else {
      add(0xF0U | (code >> 18U & 7U));
      add(0x80U | (code >> 12U & 0x3FU));
    }
    add(0x80U | (code >> 6U & 0x3FU));
  }
  add(0x80U | (code & 0x3FU));
}

// Up to `end`, trimmed in front where the action before it said so.
std::string_view TemplateScanner::take_text(std::size_t end) {
  std::string_view text = text_.substr(at_, end - at_);
  if (trim_next_) text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  trim_next_ = false;
  return text;
}

// Where the action's "}}" is: not one within a text or a comment.
std::size_t TemplateScanner::find_end(std::size_t start) const {
  const std::size_t first = text_.find_first_not_of(kSpace, start);
  if (first != std::string_view::npos && text_.substr(first, 2) == "/*") {
    const std::size_t close = text_.find("*/", first + 2);
    if (close == std::string_view::npos) fail_template("unclosed comment");
    return text_.find("}}", close);
  }
  for (std::size_t i = start; i < text_.size(); ++i) {
    const char c = text_[i];
    if (text_.substr(i, 2) == "}}") return i;
    if (c != '"' && c != '`' && c != '\'') continue;
    for (++i; i < text_.size() && text_[i] != c; ++i) {
      if (text_[i] == '\\' && c != '`') ++i;
    }
    if (i >= text_.size()) {
      fail_template(c == '\'' ? "unterminated character constant" : "unterminated quoted string");
    }
  }
  return std::string_view::npos;
}

std::optional<std::string_view> TemplateScanner::next(std::string& before) {
  before.clear();
  for (;;) {
    const std::size_t open = text_.find("{{", at_);
    std::string_view text = take_text(std::min(open, text_.size()));
    if (open == std::string_view::npos) {
      before += text;
      at_ = text_.size();
      return std::nullopt;
    }
    std::size_t start = open + 2;
    if (text_.substr(start, 1) == "-" && start + 1 < text_.size() && is_space(text_[start + 1])) {
      text = text.substr(0, text.find_last_not_of(kSpace) + 1);
      ++start;
    }
    before += text;
    const std::size_t close = find_end(start);
    if (close == std::string_view::npos) fail_template("unclosed action");
    std::string_view action = text_.substr(start, close - start);
    at_ = close + 2;
    if (action.size() > 1 && action.back() == '-' && is_space(action[action.size() - 2])) {
      trim_next_ = true;
      action.remove_suffix(1);
    }
    const std::size_t first = action.find_first_not_of(kSpace);
    if (first != std::string_view::npos && action.substr(first, 2) == "/*") continue;
    return action;
  }
}

bool ActionParser::at_end() {
  skip_space();
  return at_ >= text_.size();
}

std::string ActionParser::take_keyword() {
  skip_space();
  for (const std::string_view word :
       {"if", "else", "end", "with", "range", "break", "continue", "define", "template", "block"}) {
    if (text_.substr(at_, word.size()) != word) continue;
    const std::size_t after = at_ + word.size();
    if (after < text_.size() && is_word(text_[after])) continue;
    at_ = after;
    return std::string(word);
  }
  return {};
}

std::string ActionParser::take_name() {
  if (at_end() || (text_[at_] != '"' && text_[at_] != '`')) fail_template("missing template name");
  return quoted();
}

TemplateExpression ActionParser::expression() {
  if (++depth_ > kMaxParentheses) fail_template("parentheses are nested too deeply");
  TemplateExpression result;
  declarations(result);
  do {
    TemplateCommand command;
    while (!at_end() && text_[at_] != '|' && text_[at_] != ')') command.push_back(operand());
    if (command.empty()) fail_template("missing value for command");
    using Kind = TemplateOperand::Kind;
    const Kind kind = command[0].kind;
    const bool literal = kind == Kind::kText || kind == Kind::kInteger || kind == Kind::kFloat ||
                         kind == Kind::kBool || kind == Kind::kNil;
    if (literal && !result.commands.empty()) {
      fail_template("non executable command in pipeline stage " +
                    std::to_string(result.commands.size() + 1));
    }
    if (literal && command.size() > 1) fail_template("can't give argument to non-function");
    result.commands.push_back(std::move(command));
  } while (take('|'));
  --depth_;
  return result;
}

void ActionParser::skip_space() {
  while (at_ < text_.size() && is_space(text_[at_])) ++at_;
}

bool ActionParser::take(char wanted) {
  if (at_end() || text_[at_] != wanted) return false;
  ++at_;
  return true;
}

std::string ActionParser::word() {
  const std::size_t start = at_;
  while (at_ < text_.size() && is_word(text_[at_])) ++at_;
  return std::string(text_.substr(start, at_ - start));
}

// "$x :=", "$i, $x :=" or "$x ="; nothing is consumed where there is no such sign.
void ActionParser::declarations(TemplateExpression& expression) {
  const std::size_t start = at_;
  std::vector<std::string> names;
  do {
    if (!take('$')) break;
    names.push_back(word());
  } while (take(','));
  if (!names.empty() && !at_end()) {
    const bool declares = text_.substr(at_, 2) == ":=";
    if (declares || text_[at_] == '=') {
      at_ += declares ? 2 : 1;
      expression.assigns = !declares;
      expression.declares = std::move(names);
      return;
    }
  }
  at_ = start;
}

TemplateOperand ActionParser::operand() {
  skip_space();
  TemplateOperand result;
  const char first = text_[at_];
  const char second = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
  const bool has_digit = std::isdigit(static_cast<unsigned char>(second)) != 0;
  if (std::isdigit(static_cast<unsigned char>(first)) != 0 ||
      ((first == '-' || first == '+' || first == '.') && has_digit)) {
    number(result);
    return result;
  }
  if (first == '.') {
    if (!is_word(second)) {
      ++at_;  // "." alone: the value itself
      return result;
    }
  } else if (first == '$') {
    ++at_;
    result.kind = TemplateOperand::Kind::kVariable;
    result.text = word();
  } else if (first == '"' || first == '`') {
    result.kind = TemplateOperand::Kind::kText;
    result.text = quoted();
    return result;
  } else if (first == '\'') {
    character(result);
    return result;
  } else if (first == '(') {
    ++at_;
    result.kind = TemplateOperand::Kind::kGroup;
    result.group = std::make_shared<TemplateExpression>(expression());
    if (!take(')')) fail_template("unclosed left paren");
  } else if (is_word(first)) {
    result.text = word();
    name(result);
  } else {
    fail_template("unexpected \"" + std::string(1, first) + "\" in operand");
  }
  while (at_ + 1 < text_.size() && text_[at_] == '.' && is_word(text_[at_ + 1])) {
    ++at_;
    result.fields.push_back(word());
  }
  return result;
}

// Go's: 12, -3, 0x1f, 0b11, 0o17, 1_000, 1.5, 1e3.
void ActionParser::number(TemplateOperand& result) {
  const std::size_t start = at_;
  std::string text;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    const bool exponent = !text.empty() && (text.back() == 'e' || text.back() == 'E');
    if (!is_word(c) && c != '.' && !((c == '-' || c == '+') && (text.empty() || exponent))) break;
    if (c != '_') text += c;
    ++at_;
  }
  const std::string shown(text_.substr(start, at_ - start));
  if (text[0] == '+') text.erase(0, 1);
  const std::size_t sign = text[0] == '-' ? 1 : 0;
  int base = 10;
  if (text.size() > sign + 2 && text[sign] == '0') {
    const char mark = static_cast<char>(std::tolower(static_cast<unsigned char>(text[sign + 1])));
    base = mark == 'x' ? 16 : mark == 'b' ? 2 : mark == 'o' ? 8 : 10;
    if (base != 10) text.erase(sign, 2);
  }
  const char* const end = text.data() + text.size();
  std::int64_t value = 0;
  if (std::from_chars(text.data(), end, value, base).ptr == end) {
    result.kind = TemplateOperand::Kind::kInteger;
    result.text = std::to_string(value);
    return;
  }
  double real = 0;
  if (base != 10 || std::from_chars(text.data(), end, real).ptr != end) {
    fail_template("bad number syntax: \"" + shown + "\"");
  }
  result.kind = TemplateOperand::Kind::kFloat;
  result.text = text;
}

void ActionParser::character(TemplateOperand& result) {
  const std::string text = quoted();
  if (text.empty()) fail_template("malformed character constant");
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t size = byte(0) < 0x80 ? 1 : byte(0) < 0xE0 ? 2 : byte(0) < 0xF0 ? 3 : 4;
  if (text.size() != size) fail_template("malformed character constant");
  std::uint32_t code = size == 1 ? byte(0) : byte(0) & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) code = code << 6U | (byte(i) & 0x3FU);
  result.kind = TemplateOperand::Kind::kInteger;
  result.text = std::to_string(code);
}

void ActionParser::name(TemplateOperand& result) {
  if (result.text == "true" || result.text == "false") {
    result.kind = TemplateOperand::Kind::kBool;
  } else if (result.text == "nil") {
    result.kind = TemplateOperand::Kind::kNil;
  } else if (is_template_function(result.text)) {
    result.kind = TemplateOperand::Kind::kFunction;
  } else {
    fail_template("function \"" + result.text + "\" not defined");
  }
}

std::string ActionParser::quoted() {
  const char quote = text_[at_++];
  std::string result;
  while (at_ < text_.size() && text_[at_] != quote) {
    const char c = text_[at_++];
    if (c == '\\' && quote != '`') {
      escape(result, quote);
    } else {
      result += c;
    }
  }
  if (at_ >= text_.size()) fail_template("unterminated quoted string");
  ++at_;
  return result;
}

// What follows a backslash, as Go's strconv.Unquote has it.
void ActionParser::escape(std::string& out, char quote) {
  static constexpr std::string_view kNames = "abfnrtv\\";
  static constexpr std::string_view kMeanings = "\a\b\f\n\r\t\v\\";
  const char c = at_ < text_.size() ? text_[at_++] : '\0';
  if (const std::size_t known = kNames.find(c); known != std::string_view::npos) {
    out += kMeanings[known];
  } else if (c == quote) {
    out += c;
  } else if (c == 'x') {
    out += static_cast<char>(digits(2, 16));
  } else if (c == 'u') {
    append_utf8(out, digits(4, 16));
  } else if (c == 'U') {
    append_utf8(out, digits(8, 16));
  } else if (c >= '0' && c <= '7') {
    --at_;
    out += static_cast<char>(digits(3, 8));
  } else {
    fail_template("invalid syntax in a quoted string");
  }
}

std::uint32_t ActionParser::digits(int count, int base) {
  std::uint32_t value = 0;
  const char* const start = text_.data() + at_;
  const std::size_t length = std::min(static_cast<std::size_t>(count), text_.size() - at_);
  const auto result = std::from_chars(start, start + length, value, base);
  if (length != static_cast<std::size_t>(count) || result.ptr != start + length) {
    fail_template("invalid syntax in a quoted string");
  }
  at_ += length;
  return value;
}

}  // namespace engine
