#include "cli/arguments.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <memory>
#include <numeric>

#include <CLI/CLI.hpp>

#include "cli/short_switches.h"

namespace cli {
namespace {

constexpr int kFlagError = 125;  // docker's code for a flag it does not know

std::string hint(const Syntax& syntax) {
  return "\nSee 'sampan " + syntax.command + (syntax.command.empty() ? "" : " ") + "--help'.";
}

// docker's words (spf13/pflag's) for a flag without its value; CLI11's or ours for the rest.
std::string words_of(const CLI::ParseError& error) {
  const std::string text = error.what();
  return dynamic_cast<const CLI::ArgumentMismatch*>(&error) == nullptr
             ? text
             : "flag needs an argument: " + text.substr(0, text.find(':'));
}

template <class Target>
struct Number {
  using Type = Target;
};
template <class Value>
struct Number<std::optional<Value>> {
  using Type = Value;
};
template <class Target>
constexpr bool kIsNumber = std::is_integral_v<typename Number<Target>::Type>;

// "-t,--time,--timeout" to "-t, --time": what comes third is an alias.
std::string shown_names(const Flag& flag) {
  const std::size_t comma = flag.names.find(',');
  if (comma == std::string::npos) return flag.names;
  const std::string rest = flag.names.substr(comma + 1);
  return flag.names.substr(0, comma) + ", " + rest.substr(0, rest.find(','));
}

// CLI11 takes what is too large for the largest number.
template <class Value>
void parse_number(std::string_view text, const std::string& names, Value& value) {
  const std::string_view digits = text.starts_with('+') ? text.substr(1) : text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error == std::errc() && end == digits.data() + digits.size()) return;
  throw CLI::ConversionError(
      "invalid argument \"" + std::string(text) + "\" for \"" + names + "\" flag: " +
      (error == std::errc::result_out_of_range ? "value out of range" : "invalid syntax"));
}

CLI::Option* add(CLI::App& app, const Flag& flag) {
  return std::visit(
      [&](auto* target) -> CLI::Option* {
        using Target = std::remove_pointer_t<decltype(target)>;
        if constexpr (std::is_same_v<Target, bool>) {
          return app.add_flag(flag.names, *target);
        } else if constexpr (std::is_same_v<Target, std::optional<std::string>>) {
          return app.add_option_function<std::string>(
              flag.names, [target](const std::string& value) { *target = value; });
        } else if constexpr (kIsNumber<Target>) {
          const std::string names = shown_names(flag);
          return app.add_option_function<std::string>(flag.names,
                                                      [target, names](const std::string& text) {
                                                        typename Number<Target>::Type value = 0;
                                                        parse_number(text, names, value);
                                                        *target = value;
                                                      });
        } else {
          return app.add_option(flag.names, *target);
        }
      },
      flag.target);
}

// Whether `word` can be how `name`, "-x" or "--long", is written: alone, with "=value", or as one
// of several letters behind a dash. May say yes too often, never no.
bool can_mean(std::string_view word, std::string_view name) {
  if (!word.starts_with('-')) return false;
  if (name.starts_with("--")) return word.substr(0, word.find('=')) == name;
  return word.substr(1).find(name.substr(1)) != std::string_view::npos;
}

// The parser need not hear of the others: `run` alone has 80, for which it takes 0.3 ms.
bool can_occur(const Flag& flag, const std::vector<std::string>& words) {
  std::string_view names = flag.names;
  while (!names.empty()) {
    const std::string_view name = names.substr(0, names.find(','));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    for (const std::string& word : words) {
      if (can_mean(word, name)) return true;
    }
  }
  return false;
}

// CLI11 reads "--flag=" as a flag without a value and takes the next word for it. Such a word goes
// in with a mark behind it, and the mark is taken off whatever comes out.
constexpr char kEmpty[] = "\x1f";

std::vector<std::string> with_marks(std::vector<std::string> words) {
  for (std::string& word : words) {
    if (word.rfind("--", 0) == 0 && word.find('=') == word.size() - 1) word += kEmpty;
  }
  return words;
}

void take_off_mark(std::string& text) {
  if (!text.empty() && text.back() == kEmpty[0]) text.pop_back();
}

void take_off_marks(const Flag& flag) {
  std::visit(
      [](auto* target) {
        using Target = std::remove_pointer_t<decltype(target)>;
        if constexpr (std::is_same_v<Target, std::string>) {
          take_off_mark(*target);
        } else if constexpr (std::is_same_v<Target, std::optional<std::string>>) {
          if (*target) take_off_mark(**target);
        } else if constexpr (std::is_same_v<Target, std::vector<std::string>>) {
          for (std::string& item : *target) take_off_mark(item);
        }
      },
      flag.target);
}

// What CLI11 left over starts with a flag it does not know, unless it came after "--".
[[noreturn]] void throw_unknown_flag(const Syntax& syntax, const std::vector<Flag>& flags,
                                     const std::string& word) {
  if (word.rfind("--", 0) != 0) {
    throw UsageError(
        "unknown shorthand flag: '" + word.substr(1, 1) + "' in " + word + hint(syntax),
        kFlagError);
  }
  const std::string name = word.substr(0, word.find('='));
  std::vector<std::string> known;
  for (const Flag& flag : flags) {
    const std::size_t at = flag.names.find("--");
    if (at != std::string::npos) known.push_back(flag.names.substr(at));
  }
  std::string text = "unknown flag: " + name;
  if (const std::string near = nearest(name, known); !near.empty()) {
    text += " (did you mean " + near + "?)";
  }
  throw UsageError(text + hint(syntax), kFlagError);
}

void check_count(const Syntax& syntax, std::size_t count) {
  const auto arguments = [](std::size_t number) {
    return std::to_string(number) + (number == 1 ? " argument." : " arguments.");
  };
  std::string wanted;
  if (syntax.min_arguments == syntax.max_arguments) {
    wanted = syntax.max_arguments == 0 ? "accepts no arguments."
                                       : "requires exactly " + arguments(syntax.max_arguments);
  } else if (count < syntax.min_arguments) {
    wanted = "requires at least " + arguments(syntax.min_arguments);
  } else {
    wanted = "requires at most " + arguments(syntax.max_arguments);
  }
  if (count >= syntax.min_arguments && count <= syntax.max_arguments) return;
  throw UsageError("\"sampan " + syntax.command + "\" " + wanted + hint(syntax) +
                       "\n\nUsage:  sampan " + syntax.command + " " + syntax.synopsis + "\n\n" +
                       syntax.summary,
                   1);
}

// "-d, --detach" with the short form's column kept free where there is none, as docker prints it.
std::string names_for_help(const Flag& flag) {
  const bool is_long_only = flag.names.rfind("--", 0) == 0;
  const std::string text =
      is_long_only ? "    " + flag.names.substr(0, flag.names.find(',')) : shown_names(flag);
  return flag.value.empty() ? text : text + " " + flag.value;
}

}  // namespace

HelpRequest::HelpRequest(const Syntax& syntax, const std::vector<Flag>& flags)
    : std::runtime_error(render_help(syntax, flags)), syntax_(syntax) {
  for (const Flag& flag : flags) {
    flags_.push_back({.names = flag.names,
                      .value = flag.value,
                      .help = flag.help,
                      .is_switch = std::holds_alternative<bool*>(flag.target)});
  }
}

std::vector<std::string> parse_arguments(const Syntax& syntax, const std::vector<Flag>& flags,
                                         const std::vector<std::string>& given) {
  const std::vector<std::string> arguments = with_long_switches(syntax, flags, given);
  CLI::App app;
  app.set_help_flag();
  bool help = false;
  // docker prints help for -h only where -h is not a flag of the command itself (run: --hostname).
  const bool short_is_taken = std::any_of(
      flags.begin(), flags.end(), [](const Flag& flag) { return flag.names.rfind("-h,", 0) == 0; });
  app.add_flag(short_is_taken ? "--help" : "-h,--help", help);
  for (const Flag& flag : flags) {
    if (!can_occur(flag, arguments)) continue;
    CLI::Option* option = add(app, flag);
    if (std::holds_alternative<bool*>(flag.target)) {
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    } else {
      option->allow_extra_args(false);
      if (!std::holds_alternative<std::vector<std::string>*>(flag.target)) option->take_last();
    }
  }
  const bool stops = syntax.flags == Syntax::Flags::kBeforeArguments;
  std::vector<std::string> words;
  if (stops) {
    app.prefix_command();
  } else {
    app.add_option("arguments", words)->expected(0, std::numeric_limits<int>::max() / 2);
    app.allow_extras();  // so that an unknown flag gets our message
  }
  std::vector<std::string> marked = with_marks(arguments);
  std::reverse(marked.begin(), marked.end());  // CLI11 reads from the back
  try {
    app.parse(std::move(marked));
  } catch (const CLI::ParseError& error) {
    throw UsageError(words_of(error) + hint(syntax), kFlagError);
  }
  if (help) throw HelpRequest(syntax, flags);
  for (const Flag& flag : flags) take_off_marks(flag);
  std::vector<std::string> left = app.remaining();
  for (std::string& word : left) take_off_mark(word);
  if (!left.empty() && left.front().size() > 1 && left.front()[0] == '-' && left.front() != "--") {
    throw_unknown_flag(syntax, flags, left.front());
  }
  if (stops) {
    if (!left.empty() && left.front() == "--") left.erase(left.begin());
    words = std::move(left);
  }
  check_count(syntax, words.size());
  return words;
}

std::string render_options(const std::vector<Flag>& flags) {
  std::vector<std::pair<std::string, std::string>> rows;
  std::size_t width = 0;
  for (const Flag& flag : flags) {
    rows.emplace_back(names_for_help(flag), flag.help);
    width = std::max(width, rows.back().first.size());
  }
  const auto key = [](const std::string& row) {
    const std::size_t at = row.find("--");
    return at == std::string::npos ? row : row.substr(at);
  };
  std::sort(rows.begin(), rows.end(),
            [&](const auto& a, const auto& b) { return key(a.first) < key(b.first); });
  std::string text;
  for (const auto& [names, help] : rows) {
    text += "  " + names + std::string(width - names.size() + 3, ' ') + help + "\n";
  }
  return text;
}

std::string render_help(const Syntax& syntax, const std::vector<Flag>& flags) {
  std::string text = "Usage:  sampan " + syntax.command +
                     (syntax.synopsis.empty() ? "" : " " + syntax.synopsis) + "\n\n" +
                     syntax.summary + "\n";
  return flags.empty() ? text : text + "\nOptions:\n" + render_options(flags);
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = word.size() / 3 + 2;
  for (const std::string& candidate : candidates) {
    // Levenshtein's distance, one row at a time.
    std::vector<std::size_t> row(candidate.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < word.size(); ++i) {
      std::size_t diagonal = row[0]++;
      for (std::size_t j = 0; j < candidate.size(); ++j) {
        const std::size_t change = diagonal + (word[i] == candidate[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({change, row[j] + 1, row[j + 1] + 1});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = candidate;
    }
  }
  return best;
}

}  // namespace cli
