#include <algorithm>
#include <bit>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "base/error.h"
#include "runtime/systemd.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

constexpr std::string_view kPrefix = "org.systemd.property.";

// Words that give a value its type; see "GVariant Text Format".
constexpr std::pair<std::string_view, char> kTypeWords[] = {
    {"boolean", 'b'}, {"byte", 'y'},       {"int16", 'n'},    {"uint16", 'q'}, {"int32", 'i'},
    {"uint32", 'u'},  {"int64", 'x'},      {"uint64", 't'},   {"double", 'd'}, {"string", 's'},
    {"handle", 'h'},  {"objectpath", 'o'}, {"signature", 'g'}};

bool is_text_type(char type) { return type == 's' || type == 'o' || type == 'g'; }

// The least and the most that an integer of a type can be, in the bits of BusProperty::number.
bool fits(char type, bool negative, std::uint64_t magnitude) {
  const auto within = [&](std::uint64_t most, std::uint64_t least) {
    return magnitude <= (negative ? least : most);
  };
  switch (type) {
    case 'y':
      return within(0xff, 0);
    case 'n':
      return within(0x7fff, 0x8000);
    case 'q':
      return within(0xffff, 0);
    case 'i':
    case 'h':
      return within(0x7fffffff, 0x80000000U);
    case 'u':
      return within(0xffffffffU, 0);
    case 'x':
      return within(~0ULL >> 1U, 1ULL << 63U);
    default:
      return within(~0ULL, 0);
  }
}

// Reads one value, and only that, from a text.
class ValueParser {
 public:
  explicit ValueParser(std::string_view text) : rest_(text) {}

  BusProperty parse() {
    BusProperty property;
    std::string type = take_type();
    skip_blanks();
    if (rest_.starts_with('[')) {
      parse_array(property, type);
    } else {
      if (type.size() > 1) fail("\"" + type + "\" wants a value in brackets");
      parse_element(type.empty() ? '\0' : type[0], property.type, property.number, property.text);
    }
    skip_blanks();
    if (!rest_.empty()) fail("\"" + std::string(rest_) + "\" after the value");
    return property;
  }

 private:
  [[noreturn]] static void fail(const std::string& what) { throw Error(ErrorKind::kInvalid, what); }

  void skip_blanks() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) {
      rest_.remove_prefix(1);
    }
  }

  bool take(char letter) {
    skip_blanks();
    if (!rest_.starts_with(letter)) return false;
    rest_.remove_prefix(1);
    return true;
  }

  std::string_view take_word() {
    std::size_t size = 0;
    while (size < rest_.size() &&
           (std::isalnum(static_cast<unsigned char>(rest_[size])) != 0 || rest_[size] == '+' ||
            rest_[size] == '-' || rest_[size] == '.')) {
      ++size;
    }
    const std::string_view word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return word;
  }

  // "@as ", "uint64 "; empty where the value itself says it.
  std::string take_type() {
    skip_blanks();
    if (take('@')) {
      const std::string_view word = take_word();
      const std::string_view element = word.starts_with('a') ? word.substr(1) : word;
      const bool known = element.size() == 1 &&
                         std::any_of(std::begin(kTypeWords), std::end(kTypeWords),
                                     [&](const auto& each) { return each.second == element[0]; });
      if (!known) fail("type \"" + std::string(word) + "\" is not supported");
      return std::string(word);
    }
    for (const auto& [word, type] : kTypeWords) {
      if (!rest_.starts_with(word) || rest_.size() == word.size()) continue;
      if (std::isspace(static_cast<unsigned char>(rest_[word.size()])) == 0) continue;
      rest_.remove_prefix(word.size());
      return {type};
    }
    return {};
  }

  void parse_array(BusProperty& property, const std::string& wanted) {
    if (!wanted.empty() && wanted[0] != 'a') fail("brackets where one value is wanted");
    char element = wanted.empty() ? '\0' : wanted[1];
    take('[');
    while (!take(']')) {
      if (!property.numbers.empty() || !property.texts.empty()) {
        if (!take(',')) fail("a comma is missing");
      }
      // The first element's type is that of all.
      const std::string own = take_type();
      if (own.size() > 1) fail("an array of arrays is not supported");
      skip_blanks();
      std::string type;
      std::uint64_t number = 0;
      std::string text;
      parse_element(element != '\0' ? element : own.empty() ? '\0' : own[0], type, number, text);
      element = type[0];
      if (is_text_type(element)) {
        property.texts.push_back(std::move(text));
      } else {
        property.numbers.push_back(number);
      }
    }
    if (element == '\0') fail("an empty array has no type: write @as []");
    property.type = std::string("a") + element;
  }

  void parse_element(char wanted, std::string& type, std::uint64_t& number, std::string& text) {
    if (rest_.starts_with('\'') || rest_.starts_with('"')) {
      type = wanted == '\0' ? 's' : wanted;
      if (!is_text_type(type[0])) fail("a text where a number is wanted");
      text = take_quoted();
      return;
    }
    const std::string_view word = take_word();
    if (word == "true" || word == "false") {
      type = "b";
      number = word == "true" ? 1 : 0;
      if (wanted != '\0' && wanted != 'b') fail("a boolean where another type is wanted");
      return;
    }
    if (is_text_type(wanted) || wanted == 'b' || word.empty()) {
      fail("\"" + std::string(word.empty() ? rest_ : word) + "\" is no value");
    }
    const bool has_point = word.find_first_of(".eE") != std::string_view::npos &&
                           !word.starts_with("0x") && !word.starts_with("0X");
    const char kind = wanted != '\0' ? wanted : has_point ? 'd' : 'i';
    type = std::string(1, kind);
    number = kind == 'd' ? parse_double(word) : parse_integer(word, kind);
  }

  static std::uint64_t parse_double(std::string_view word) {
    double value = 0;
    const auto result = std::from_chars(word.data(), word.data() + word.size(), value);
    if (result.ec != std::errc() || result.ptr != word.data() + word.size()) {
      fail("\"" + std::string(word) + "\" is no number");
    }
    return std::bit_cast<std::uint64_t>(value);
  }

  static std::uint64_t parse_integer(std::string_view word, char type) {
    std::string_view digits = word;
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) digits.remove_prefix(1);
    int base = 10;
    if (digits.starts_with("0x") || digits.starts_with("0X")) {
      base = 16;
      digits.remove_prefix(2);
    } else if (digits.size() > 1 && digits.starts_with('0')) {
      base = 8;
    }
    std::uint64_t magnitude = 0;
    const auto result =
        std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
    if (digits.empty() || result.ec == std::errc::invalid_argument ||
        result.ptr != digits.data() + digits.size()) {
      fail("\"" + std::string(word) + "\" is no number");
    }
    if (result.ec != std::errc() || !fits(type, negative, magnitude)) {
      fail("\"" + std::string(word) + "\" does not fit type \"" + type + "\"");
    }
    return negative ? ~magnitude + 1 : magnitude;
  }

  std::string take_quoted() {
    const char quote = rest_.front();
    rest_.remove_prefix(1);
    std::string text;
    while (!rest_.empty() && rest_.front() != quote) {
      char letter = rest_.front();
      rest_.remove_prefix(1);
      if (letter == '\\') {
        if (rest_.empty()) break;
        letter = unescape(rest_.front());
        rest_.remove_prefix(1);
      }
      text += letter;
    }
    if (rest_.empty()) fail("the text has no end");
    rest_.remove_prefix(1);
    return text;
  }

  static char unescape(char letter) {
    switch (letter) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case '\\':
      case '\'':
      case '"':
        return letter;
      default:
        fail(std::string("\"\\") + letter + "\" is not supported");
    }
  }

  std::string_view rest_;
};

// "TimeoutStopSec" 1.5 is "TimeoutStopUSec" 1500000.
void convert_seconds(BusProperty& property) {
  double seconds = 0;
  if (property.type == "d") {
    seconds = std::bit_cast<double>(property.number);
  } else if (property.type == "t" || property.type == "u" || property.type == "q" ||
             property.type == "y") {
    seconds = static_cast<double>(property.number);
  } else if (property.type == "i" || property.type == "x" || property.type == "n") {
    seconds = static_cast<double>(static_cast<std::int64_t>(property.number));
  } else {
    throw Error(ErrorKind::kInvalid, "seconds are a number");
  }
  constexpr double kMost = 1e12;
  if (!(seconds >= 0 && seconds <= kMost)) {
    throw Error(ErrorKind::kInvalid, "so many seconds are out of range");
  }
  property.number = static_cast<std::uint64_t>(std::llround(seconds * 1e6));
  property.type = "t";
  property.name.replace(property.name.size() - 3, 3, "USec");
}

}  // namespace

std::vector<BusProperty> parse_unit_annotations(
    const std::map<std::string, std::string>& annotations) {
  std::vector<BusProperty> properties;
  for (const auto& [key, value] : annotations) {
    if (!key.starts_with(kPrefix)) continue;
    const std::string name = key.substr(kPrefix.size());
    base::while_doing("annotations." + key, [&, &text = value] {
      const bool named =
          name.size() > 2 && std::all_of(name.begin(), name.end(), [](unsigned char letter) {
            return std::isalpha(letter) != 0;
          });
      if (!named) throw Error(ErrorKind::kInvalid, "no name of a property");
      BusProperty property = ValueParser(text).parse();
      property.name = name;
      if (name.size() > 3 && name.ends_with("Sec") && !name.ends_with("USec")) {
        convert_seconds(property);
      }
      properties.push_back(std::move(property));
    });
  }
  return properties;
}

}  // namespace runtime
