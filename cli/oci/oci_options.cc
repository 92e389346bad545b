#include "cli/oci/oci_options.h"

#include <algorithm>
#include <charconv>
#include <getopt.h>

#include "base/error.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

constexpr std::size_t kHelpColumn = 30;

// "-b,--bundle" piece by piece.
template <class Action>
void for_each_name(std::string_view names, Action&& action) {
  while (!names.empty()) {
    const std::size_t comma = std::min(names.find(','), names.size());
    action(names.substr(0, comma));
    names.remove_prefix(std::min(comma + 1, names.size()));
  }
}

std::string_view last_name(std::string_view names) {
  return names.substr(names.rfind(',') == std::string_view::npos ? 0 : names.rfind(',') + 1);
}

[[noreturn]] void refuse(std::string_view names, const char* value, const std::string& why) {
  throw Error(ErrorKind::kInvalid, std::string(last_name(names)) + " \"" + value + "\": " + why);
}

template <class Number>
Number number_of(std::string_view names, const char* value) {
  Number number = 0;
  const std::string_view text(value);
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    refuse(names, value, "not a number that fits");
  }
  return number;
}

bool truth_of(std::string_view names, const char* value) {
  if (value == nullptr) return true;
  const std::string_view text(value);
  if (text == "true" || text == "1") return true;
  if (text == "false" || text == "0") return false;
  refuse(names, value, "not true or false");
}

std::string joined(const std::vector<std::string_view>& words) {
  std::string text;
  for (const std::string_view word : words) text += (text.empty() ? "" : ", ") + std::string(word);
  return text;
}

// What a value looks like in the help.
std::string_view kind_of(const Options::Target& target) {
  if (std::holds_alternative<bool*>(target)) return "";
  if (std::holds_alternative<std::string*>(target) ||
      std::holds_alternative<std::filesystem::path*>(target)) {
    return "TEXT";
  }
  return std::holds_alternative<std::vector<std::string>*>(target) ? "TEXT ..." : "NUMBER";
}

std::string padded(std::string text) {
  if (text.size() + 1 > kHelpColumn) return text + "\n" + std::string(kHelpColumn, ' ');
  text.resize(kHelpColumn, ' ');
  return text;
}

}  // namespace

Options::Row& Options::Row::one_of(std::initializer_list<std::string_view> list) {
  words.assign(list);
  return *this;
}

Options::Row& Options::Row::between(std::int64_t least, std::int64_t most) {
  range.emplace(least, most);
  return *this;
}

Options::Options(std::string_view command, std::string_view summary)
    : command_(command), summary_(summary) {
  rows_.reserve(32);
  add("-h,--help", &wants_help_, "Print this help");
}

Options::Row& Options::add(std::string_view names, Target target, std::string_view help) {
  Row& row = rows_.emplace_back();
  row.names = names;
  row.target = target;
  row.help = help;
  return row;
}

void Options::add_word(std::string_view name, std::string& word) {
  words_.push_back({.name = name, .target = &word, .required = true});
}

void Options::add_optional_word(std::string_view name, std::string& word) {
  words_.push_back({.name = name, .target = &word, .required = false});
}

void Options::take_rest(std::string_view name, std::vector<std::string>& rest) {
  rest_name_ = name;
  rest_ = &rest;
}

void Options::set(const Row& row, const char* value) {
  if (!row.words.empty() &&
      std::find(row.words.begin(), row.words.end(), value) == row.words.end()) {
    refuse(row.names, value, "not one of " + joined(row.words));
  }
  if (row.range) {
    const auto number = number_of<std::int64_t>(row.names, value);
    if (number < row.range->first || number > row.range->second) {
      refuse(row.names, value,
             "not between " + std::to_string(row.range->first) + " and " +
                 std::to_string(row.range->second));
    }
  }
  const auto store = [&]<class T>(T* target) {
    if constexpr (std::is_same_v<T, bool>) {
      *target = truth_of(row.names, value);
    } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      target->emplace_back(value);
    } else if constexpr (std::is_integral_v<T>) {
      *target = number_of<T>(row.names, value);
    } else if constexpr (requires {
                           typename T::value_type;
                           target->has_value();
                         }) {
      *target = number_of<typename T::value_type>(row.names, value);
    } else {
      *target = value;
    }
  };
  std::visit(store, row.target);
}

std::vector<Options::Name> Options::all_names() const {
  std::vector<Name> names;
  names.reserve(2 * rows_.size());
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    for_each_name(rows_[i].names, [&](std::string_view name) {
      name.remove_prefix(name.starts_with("--") ? 2 : 1);
      names.push_back({std::string(name), i});
    });
  }
  return names;
}

void Options::take_words(const std::vector<std::string>& words) {
  if (rest_ != nullptr) {
    *rest_ = words;
    if (words.empty()) {
      throw Error(ErrorKind::kInvalid, std::string(rest_name_) + " is required");
    }
    return;
  }
  for (std::size_t i = 0; i < words_.size(); ++i) {
    if (i < words.size()) {
      *words_[i].target = words[i];
    } else if (words_[i].required) {
      throw Error(ErrorKind::kInvalid, std::string(words_[i].name) + " is required");
    }
  }
  if (words.size() > words_.size()) {
    throw Error(ErrorKind::kInvalid, "\"" + words[words_.size()] + "\" was not expected");
  }
}

bool Options::parse(const std::vector<std::string>& words) {
  const std::vector<Name> names = all_names();
  // "+": the first word ends the options; ":": a missing value is told apart.
  std::string letters = rest_ != nullptr ? "+:" : ":";
  std::vector<option> options;
  options.reserve(names.size() + 1);
  constexpr int kLong = 256;  // above all letters
  for (std::size_t i = 0; i < names.size(); ++i) {
    const bool is_flag = std::holds_alternative<bool*>(rows_[names[i].row].target);
    if (names[i].text.size() == 1) {
      letters += names[i].text + (is_flag ? "" : ":");
    } else {
      options.push_back({names[i].text.c_str(), is_flag ? optional_argument : required_argument,
                         nullptr, kLong + static_cast<int>(i)});
    }
  }
  options.push_back({});
  std::vector<std::string> texts = {"sampan-oci"};
  texts.insert(texts.end(), words.begin(), words.end());
  std::vector<char*> argv;
  argv.reserve(texts.size() + 1);
  for (std::string& text : texts) argv.push_back(text.data());
  argv.push_back(nullptr);
  opterr = 0;
  optind = 0;  // begin anew
  for (;;) {
    const int count = static_cast<int>(texts.size());
    const int found = getopt_long(count, argv.data(), letters.c_str(), options.data(), nullptr);
    if (found == -1) break;
    if (found == '?') {
      const std::string word = optopt > 0 && optopt < kLong
                                   ? std::string("-") + static_cast<char>(optopt)
                                   : std::string(argv[static_cast<std::size_t>(optind) - 1]);
      throw Error(ErrorKind::kInvalid, "\"" + word + "\" was not expected");
    }
    if (found == ':') {
      throw Error(ErrorKind::kInvalid,
                  std::string(argv[static_cast<std::size_t>(optind) - 1]) + " needs a value");
    }
    const auto name = found >= kLong
                          ? names.begin() + (found - kLong)
                          : std::find_if(names.begin(), names.end(), [&](const Name& each) {
                              return each.text.size() == 1 && each.text.front() == found;
                            });
    set(rows_[name->row], optarg);
  }
  if (wants_help_) return false;
  // What is left stands at the end, in its order.
  take_words({argv.begin() + optind, argv.end() - 1});
  return true;
}

std::string Options::usage() const {
  std::string text =
      "sampan-oci " + std::string(command_) + (command_.empty() ? "" : " ") + "[OPTIONS]";
  for (const Word& word : words_) {
    text += word.required ? " " + std::string(word.name) : " [" + std::string(word.name) + "]";
  }
  if (rest_ != nullptr) text += " " + std::string(rest_name_);
  return text;
}

std::vector<Options::Help> Options::rows() const {
  std::vector<Help> all;
  for (const Row& row : rows_) {
    Help& help = all.emplace_back();
    help.names = row.names;
    help.value = kind_of(row.target);
    help.text = row.help;
    if (!row.words.empty()) help.text += " (" + joined(row.words) + ")";
  }
  return all;
}

std::string Options::help() const {
  std::string text = std::string(summary_) + "\nUsage: " + usage() + "\n\nOptions:\n";
  for (const Help& row : rows()) {
    text += padded("  " + row.names + (row.value.empty() ? "" : " ") + row.value);
    text += row.text + "\n";
  }
  return text;
}

}  // namespace cli_oci
