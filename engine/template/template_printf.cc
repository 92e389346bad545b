// Go's fmt.Sprintf over JSON values.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "engine/template/template_functions.h"
#include "engine/template/template_scan.h"
#include "engine/template/template_tree.h"

namespace engine {
namespace {

using Json = nlohmann::json;

constexpr int kWidest = 4096;

// One directive: %[flags][width][.precision]verb
struct Directive {
  bool left = false, plus = false, zero = false, space = false, sharp = false;
  int width = 0;
  int precision = -1;
  char verb = 0;
};

const char* type_name(const Json& value) {
  if (value.is_string()) return "string";
  if (value.is_boolean()) return "bool";
  if (value.is_number_integer()) return "int";
  if (value.is_number_float()) return "float64";
  if (value.is_array()) return "[]interface {}";
  return "map[string]interface {}";
}

std::string misfit(const Directive& directive, const Json& value) {
  const std::string start = std::string("%!") + directive.verb + "(";
  if (value.is_null()) return start + "<nil>)";
  return start + type_name(value) + "=" + template_text(value) + ")";
}

std::string rune(std::uint64_t code) {
  std::string text;
  append_utf8(text, code < 0x110000 ? static_cast<std::uint32_t>(code) : 0xFFFDU);
  return text;
}

std::string quote_text(const std::string& text) {
  return Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// The first `count` characters.
std::string first_runes(const std::string& text, int count) {
  std::size_t end = 0;
  for (int seen = 0; end < text.size(); ++end) {
    if ((static_cast<unsigned char>(text[end]) & 0xC0U) != 0x80U && seen++ == count) break;
  }
  return text.substr(0, end);
}

std::string in_base(std::uint64_t size, int base) {
  std::array<char, 72> buffer;
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), size, base);
  return {buffer.data(), result.ptr};
}

std::string raised(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

std::string text_with(const Directive& directive, const Json& value) {
  std::string text = value.get<std::string>();
  if (directive.precision >= 0) text = first_runes(text, directive.precision);
  switch (directive.verb) {
    case 'v':
    case 's':
      return text;
    case 'q':
      return quote_text(text);
    case 'x':
    case 'X': {
      std::string digits;
      for (const char c : text) {
        const std::string two = in_base(static_cast<unsigned char>(c), 16);
        digits += (two.size() < 2 ? "0" : "") + two;
      }
      return directive.verb == 'X' ? raised(digits) : digits;
    }
    default:
      return misfit(directive, value);
  }
}

std::string sign_of(const Directive& directive, bool negative) {
  if (negative) return "-";
  return directive.plus ? "+" : directive.space ? " " : "";
}

// Zeros of %05d stand behind the sign.
std::string with_zeros(const Directive& directive, const std::string& sign, std::string digits) {
  std::size_t wanted = static_cast<std::size_t>(std::max(0, directive.precision));
  if (directive.precision < 0 && directive.zero && !directive.left) {
    wanted = static_cast<std::size_t>(directive.width) -
             std::min(sign.size(), static_cast<std::size_t>(directive.width));
  }
  if (digits.size() < wanted) digits.insert(0, wanted - digits.size(), '0');
  return sign + digits;
}

std::string integer_with(const Directive& directive, const Json& value) {
  const bool negative =
      value.is_number_integer() && !value.is_number_unsigned() && value.get<std::int64_t>() < 0;
  const auto bits = value.get<std::uint64_t>();
  const std::uint64_t size = negative ? 0 - bits : bits;
  const std::string sign = sign_of(directive, negative);
  switch (directive.verb) {
    case 'v':
    case 'd':
      return with_zeros(directive, sign, in_base(size, 10));
    case 'x':
      return with_zeros(directive, sign + (directive.sharp ? "0x" : ""), in_base(size, 16));
    case 'X':
      return with_zeros(directive, sign + (directive.sharp ? "0X" : ""), raised(in_base(size, 16)));
    case 'o':
      return with_zeros(directive, sign + (directive.sharp ? "0" : ""), in_base(size, 8));
    case 'b':
      return with_zeros(directive, sign, in_base(size, 2));
    case 'c':
      return rune(size);
    case 'q':
      return "'" + rune(size) + "'";
    case 'U': {
      const std::string digits = raised(in_base(size, 16));
      return "U+" + std::string(digits.size() < 4 ? 4 - digits.size() : 0, '0') + digits;
    }
    default:
      return misfit(directive, value);
  }
}

std::string float_with(const Directive& directive, const Json& value) {
  const auto number = value.get<double>();
  if (std::string_view("eEfFgG").find(directive.verb) == std::string_view::npos) {
    return directive.verb == 'v' ? template_text(value) : misfit(directive, value);
  }
  if ((directive.verb == 'g' || directive.verb == 'G') && directive.precision < 0) {
    return template_text(value);
  }
  const int precision = std::min(directive.precision < 0 ? 6 : directive.precision, kWidest);
  const char format[] = {'%', '.', '*', directive.verb, '\0'};
  std::array<char, kWidest + 512> buffer;
  const double size = number < 0 ? -number : number;
  std::snprintf(buffer.data(), buffer.size(), format, precision, size);
  Directive zeros = directive;
  zeros.precision = -1;
  return with_zeros(zeros, sign_of(directive, number < 0), buffer.data());
}

std::string padded(const Directive& directive, std::string text) {
  const auto columns = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
  const auto width = static_cast<std::size_t>(directive.width);
  if (columns >= width) return text;
  const std::string padding(width - columns, ' ');
  return directive.left ? text + padding : padding + text;
}

std::string formatted(const Directive& directive, const Json& value) {
  if (directive.verb == 'T') return padded(directive, value.is_null() ? "<nil>" : type_name(value));
  if (value.is_array()) {
    std::string text = "[";
    for (const Json& item : value) {
      text += (text.size() > 1 ? " " : "") + formatted(directive, item);
    }
    return text + "]";
  }
  if (value.is_string()) return padded(directive, text_with(directive, value));
  if (value.is_number_float()) return padded(directive, float_with(directive, value));
  if (value.is_number()) return padded(directive, integer_with(directive, value));
  if (directive.verb == 'v') {
    return padded(directive, value.is_null() ? "<nil>" : template_text(value));
  }
  if (value.is_boolean() && directive.verb == 't') return padded(directive, template_text(value));
  return misfit(directive, value);
}

class Formatter {
 public:
  explicit Formatter(const TemplateArguments& arguments) : arguments_(arguments) {}

  std::string run(const std::string& pattern) {
    for (at_ = 0; at_ < pattern.size(); ++at_) {
      if (pattern[at_] == '%') {
        directive(pattern);
      } else {
        out_ += pattern[at_];
      }
    }
    add_extra();
    return std::move(out_);
  }

 private:
  void directive(const std::string& pattern) {
    Directive directive;
    ++at_;
    flags(pattern, directive);
    directive.width = number(pattern, 0);
    if (directive.width < 0) {  // of an argument: %*d
      directive.left = true;
      directive.width = -directive.width;
    }
    if (at_ < pattern.size() && pattern[at_] == '.') {
      ++at_;
      directive.precision = std::max(0, number(pattern, 0));
    }
    if (at_ >= pattern.size()) {
      out_ += "%!(NOVERB)";
      return;
    }
    directive.verb = pattern[at_];
    if (directive.verb == '%') {
      out_ += '%';
    } else if (next_ >= arguments_.size()) {
      out_ += std::string("%!") + directive.verb + "(MISSING)";
    } else {
      out_ += formatted(directive, arguments_[next_++]);
    }
  }

  void flags(const std::string& pattern, Directive& directive) {
    for (; at_ < pattern.size(); ++at_) {
      switch (pattern[at_]) {
        case '-':
          directive.left = true;
          break;
        case '+':
          directive.plus = true;
          break;
        case '0':
          directive.zero = true;
          break;
        case ' ':
          directive.space = true;
          break;
        case '#':
          directive.sharp = true;
          break;
        default:
          return;
      }
    }
  }

  int number(const std::string& pattern, int otherwise) {
    if (at_ < pattern.size() && pattern[at_] == '*') {
      ++at_;
      if (next_ >= arguments_.size() || !arguments_[next_].is_number_integer()) return otherwise;
      return static_cast<int>(
          std::clamp<std::int64_t>(arguments_[next_++].get<std::int64_t>(), -kWidest, kWidest));
    }
    int value = otherwise;
    const char* start = pattern.data() + at_;
    const auto result = std::from_chars(start, pattern.data() + pattern.size(), value);
    at_ += static_cast<std::size_t>(result.ptr - start);
    return std::clamp(value, -kWidest, kWidest);
  }

  void add_extra() {
    if (next_ >= arguments_.size()) return;
    out_ += "%!(EXTRA ";
    for (std::size_t i = next_; i < arguments_.size(); ++i) {
      const Json& argument = arguments_[i];
      out_ += i > next_ ? ", " : "";
      out_ += argument.is_null() ? "<nil>" : type_name(argument) + ("=" + template_text(argument));
    }
    out_ += ")";
  }

  const TemplateArguments& arguments_;
  std::size_t at_ = 0;
  std::size_t next_ = 1;  // behind the pattern
  std::string out_;
};

}  // namespace

std::string template_printf(const TemplateArguments& arguments) {
  if (!arguments[0].is_string()) {
    fail_template("wrong type of argument: expected string; got " + arguments[0].dump());
  }
  return Formatter(arguments).run(arguments[0].get<std::string>());
}

}  // namespace engine
