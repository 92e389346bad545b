#include "cli/completion.h"

#include <algorithm>
#include <set>

#include "base/split.h"
#include "cli/commands.h"
#include "cli/filter_keys.h"

namespace cli {
namespace {

// The flag that has `name`, "-x" or "--long", among its names.
const FlagHelp* find_flag(const std::vector<FlagHelp>& flags, std::string_view name) {
  for (const FlagHelp& flag : flags) {
    if (("," + flag.names + ",").find("," + std::string(name) + ",") != std::string::npos) {
      return &flag;
    }
  }
  return nullptr;
}

// The flag whose value is the word behind `word`: "--name", "-p", "-itp"; null where there is none.
const FlagHelp* flag_before_value(const std::vector<FlagHelp>& flags, std::string_view word) {
  if (word.starts_with("--")) {
    const FlagHelp* const flag = find_flag(flags, word);
    return flag == nullptr || flag->is_switch ? nullptr : flag;
  }
  for (std::size_t i = 1; i < word.size(); ++i) {
    const FlagHelp* const flag = find_flag(flags, std::string("-") + word[i]);
    if (flag == nullptr) return nullptr;
    if (!flag->is_switch) return i + 1 == word.size() ? flag : nullptr;
  }
  return nullptr;
}

// Words up to the one under the cursor, taken apart by a command's flags.
struct Parsed {
  Words arguments;
  const FlagHelp* value_of = nullptr;  // the flag that waits for its value
  bool flags_end = false;              // behind "--", or in the container's command
};

Parsed take_apart(const Words& words, std::size_t first, const Syntax& syntax,
                  const std::vector<FlagHelp>& flags) {
  Parsed parsed;
  for (std::size_t i = first; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (parsed.value_of != nullptr) {
      parsed.value_of = nullptr;
    } else if (!parsed.flags_end && word == "--") {
      parsed.flags_end = true;
    } else if (!parsed.flags_end && word.size() > 1 && word[0] == '-') {
      parsed.value_of = flag_before_value(flags, word);
    } else {
      parsed.arguments.push_back(word);
      parsed.flags_end = parsed.flags_end || syntax.flags == Syntax::Flags::kBeforeArguments;
    }
  }
  return parsed;
}

class Answer {
 public:
  Answer(std::string_view typed, const FindNames& find) : typed_(typed), find_(find) {}

  void add(const std::string& word, const std::string& description) {
    if (!word.starts_with(typed_) || !seen_.insert(word).second) return;
    completion_.candidates.push_back({word, description});
  }
  void add_kind(WordKind kind, const std::string& prefix = {}, const std::string& suffix = {}) {
    if (kind == WordKind::kFiles) completion_.files = Completion::Files::kAll;
    if (kind == WordKind::kDirectories) completion_.files = Completion::Files::kDirectories;
    if (kind == WordKind::kCommands) add_commands({});
    const std::vector<Candidate> found = find_(kind);
    for (const Candidate& one : found) {
      if (!one.is_id) add(prefix + one.word + suffix, one.description);
    }
    if (!completion_.candidates.empty() || typed_.size() <= prefix.size()) return;
    for (const Candidate& one : found) {
      if (one.is_id) add(prefix + one.word + suffix, one.description);
    }
  }
  // First words of commands, or the second ones of a family.
  void add_commands(std::string_view family);
  void add_flags(const std::vector<FlagHelp>& flags);
  // `prefix`: "--flag=" where the value stands in the same word. `command`: as its help calls it.
  void add_values(const FlagHelp& flag, const std::string& prefix, std::string_view command = {});
  void add_filters(std::string_view command, const std::string& prefix);
  void add_arguments(const ArgumentHints& hints, const Words& before);
  void no_space() { completion_.space = Completion::Space::kNone; }
  // A word was given before and helps nobody again.
  void leave_out(const Words& words) { seen_.insert(words.begin(), words.end()); }

  Completion take() { return std::move(completion_); }

 private:
  std::string_view typed_;
  const FindNames& find_;
  std::set<std::string> seen_;
  Completion completion_;
};

// docker's second spellings, which are accepted and not offered.
bool is_alias(std::string_view second) {
  return second == "list" || second == "ps" || second == "remove" || second == "umount";
}

// "attach, commit, cp": what a family has.
std::string second_words(std::string_view family) {
  std::string text;
  for (const Command& command : commands()) {
    const std::size_t space = command.name.find(' ');
    if (space == std::string_view::npos || command.name.substr(0, space) != family) continue;
    const std::string_view second = command.name.substr(space + 1);
    if (!is_alias(second)) text += (text.empty() ? "" : ", ") + std::string(second);
  }
  return text;
}

void Answer::add_commands(std::string_view family) {
  for (const Command& command : commands()) {
    if (command.name.starts_with("__")) continue;
    const std::size_t space = command.name.find(' ');
    const std::string first(command.name.substr(0, space));
    if (family.empty()) {
      add(first,
          space == std::string_view::npos ? std::string(command.summary) : second_words(first));
    } else if (first == family && space != std::string_view::npos &&
               !is_alias(command.name.substr(space + 1))) {
      const std::string summary(command.summary);
      add(std::string(command.name.substr(space + 1)),
          summary.empty() ? help_of(command).syntax().summary : summary);
    }
  }
}

void Answer::add_flags(const std::vector<FlagHelp>& flags) {
  for (const FlagHelp& flag : flags) {
    const std::size_t at = flag.names.find("--");
    const std::string name = flag.names.substr(at == std::string::npos ? 0 : at);
    add(name.substr(0, name.find(',')), flag.help);
  }
  add("--help", "Print the help");
}

// "key=", and behind that what the key's value can be.
void Answer::add_filters(std::string_view command, const std::string& prefix) {
  for (const FilterKey& key : filter_keys(command)) {
    const std::string start = prefix + std::string(key.name) + "=";
    if (!typed_.starts_with(start)) {
      if (start.starts_with(typed_)) no_space();
      add(start, "");
      continue;
    }
    for (const std::string_view choice : base::split(key.choices, ' ')) {
      if (!choice.empty()) add(start + std::string(choice), "");
    }
    add_kind(key.kind, start);
  }
}

void Answer::add_values(const FlagHelp& flag, const std::string& prefix, std::string_view command) {
  if (flag.value == "filter") return add_filters(command, prefix);
  const ValueHint hint = value_hint(flag);
  for (const WordKind kind : hint.kinds) {
    // "-v NAME:PATH": a file or a volume, and more to come.
    if (kind == WordKind::kVolumes) {
      add_kind(WordKind::kFiles);
      add_kind(kind, prefix, ":");
      no_space();
      continue;
    }
    add_kind(kind, prefix);
  }
  for (const std::string& choice : hint.choices) add(prefix + choice, "");
  if (!hint.may_name_container) return;
  const std::string start = prefix + "container:";
  if (typed_.starts_with(start)) {
    add_kind(WordKind::kContainers, start);
  } else if (start.starts_with(typed_)) {
    add(start, "Another container's");
    no_space();
  }
}

void Answer::add_arguments(const ArgumentHints& hints, const Words& before) {
  if (hints.places.empty()) return;
  std::size_t at = before.size();
  if (at >= hints.places.size()) {
    if (!hints.repeats) return;
    at = hints.places.size() - 1;
    leave_out(before);
  }
  const ArgumentHints::Place& place = hints.places[at];
  for (const std::string& choice : place.choices) add(choice, "");
  for (const WordKind kind : place.kinds) {
    add_kind(kind, "", place.is_path_in_container ? ":" : "");
  }
  if (place.is_path_in_container) no_space();
}

Completion complete_command(const Command& command, const Words& words, std::size_t first,
                            const FindNames& find) {
  const HelpRequest help = help_of(command);
  const Parsed parsed = take_apart(words, first, help.syntax(), help.flags());
  const std::string& typed = words.back();
  Answer answer(typed, find);
  if (parsed.value_of != nullptr) {
    answer.add_values(*parsed.value_of, "", help.syntax().command);
  } else if (!parsed.flags_end && typed.starts_with('-')) {
    const std::size_t equals = typed.find('=');
    const FlagHelp* const flag =
        equals == std::string::npos ? nullptr : find_flag(help.flags(), typed.substr(0, equals));
    if (flag == nullptr) {
      answer.add_flags(help.flags());
    } else if (!flag->is_switch) {
      answer.add_values(*flag, typed.substr(0, equals + 1), help.syntax().command);
    }
  } else if (command.name == "help" && parsed.arguments.size() == 1) {
    answer.add_commands(parsed.arguments[0]);
  } else {
    ArgumentHints hints = argument_hints(command.name, help.syntax());
    // What follows the image or the container is the container's own business.
    if (help.syntax().flags == Syntax::Flags::kBeforeArguments) hints.repeats = false;
    answer.add_arguments(hints, parsed.arguments);
  }
  return answer.take();
}

}  // namespace

std::size_t count_global_words(const Words& words) {
  const HelpRequest globals = help_of_globals();
  std::size_t count = 0;
  while (count + 1 < words.size() && words[count].starts_with('-')) {
    count += flag_before_value(globals.flags(), words[count]) == nullptr ? 1 : 2;
  }
  return count;
}

Completion complete_words(const Words& words, const FindNames& find) {
  if (words.empty()) return {};
  const std::size_t first = count_global_words(words);
  const HelpRequest globals = help_of_globals();
  Answer answer(words.back(), find);
  if (first >= words.size()) {  // the value of the last global flag
    answer.add_values(*flag_before_value(globals.flags(), words[words.size() - 2]), "");
    return answer.take();
  }
  if (first + 1 == words.size()) {
    if (words.back().starts_with('-')) {
      answer.add_flags(globals.flags());
    } else {
      answer.add_commands({});
    }
    return answer.take();
  }
  const auto begin = words.begin() + static_cast<std::ptrdiff_t>(first);
  const auto [command, used] = find_command(Words(begin, words.end() - 1));
  if (command != nullptr) return complete_command(*command, words, first + used, find);
  if (first + 2 == words.size()) answer.add_commands(words[first]);
  return answer.take();
}

}  // namespace cli
