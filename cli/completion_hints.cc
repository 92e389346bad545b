// What values flags take and what arguments stand for, read from the words of the help.
#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/split.h"
#include "cli/completion.h"

namespace cli {
namespace {

struct NamedFlag {
  std::string_view name;
  WordKind kind;
};

// The rest say it by the words of their help.
constexpr NamedFlag kNamedFlags[] = {
    {"--cap-add", WordKind::kCapabilities},
    {"--cap-drop", WordKind::kCapabilities},
    {"--cidfile", WordKind::kFiles},
    {"--cni-config", WordKind::kFiles},
    {"--config", WordKind::kFiles},
    {"--device", WordKind::kFiles},
    {"--env-file", WordKind::kFiles},
    {"--input", WordKind::kFiles},
    {"--label-file", WordKind::kFiles},
    {"--link", WordKind::kContainers},
    {"--network", WordKind::kNetworks},
    {"--output", WordKind::kFiles},
    {"--platform", WordKind::kPlatforms},
    {"--root", WordKind::kDirectories},
    {"--signal", WordKind::kSignals},
    {"--state", WordKind::kDirectories},
    {"--stop-signal", WordKind::kSignals},
    {"--volume", WordKind::kVolumes},
    {"--volumes-from", WordKind::kContainers},
};

bool has_name(const FlagHelp& flag, std::string_view name) {
  return ("," + flag.names + ",").find("," + std::string(name) + ",") != std::string::npos;
}

bool is_choice(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

// "on-failure[:max-retries]" without its optional half.
std::string_view without_option(std::string_view word) { return word.substr(0, word.find('[')); }

// One offered word of a flag's help; false where it is none.
bool take_choice(std::string_view word, ValueHint& hint) {
  if (word.starts_with("container:")) {
    hint.may_name_container = true;
    return true;
  }
  if (!is_choice(without_option(word))) return false;
  hint.choices.emplace_back(without_option(word));
  return true;
}

// (a|b|container:<name>)
void take_alternatives(std::string_view group, ValueHint& hint) {
  ValueHint found;
  for (const std::string_view word : base::split(group, '|')) {
    if (!take_choice(word, found)) return;  // "(format: <name|uid>)"
  }
  hint.may_name_container = found.may_name_container;
  hint.choices = std::move(found.choices);
}

// Every "word" in quotes that is not an example or a default.
void take_quoted(std::string_view text, ValueHint& hint) {
  if (text.find("e.g.") != std::string_view::npos) return;
  const std::vector<std::string_view> parts = base::split(text, '"');
  for (std::size_t i = 1; i + 1 < parts.size(); i += 2) {
    if (!parts[i - 1].ends_with("default ")) take_choice(parts[i], hint);
  }
}

// "[NAME[:TAG|@DIGEST]" and the like: the name alone.
std::string_view bare_word(std::string_view word) {
  while (word.starts_with('[')) word.remove_prefix(1);
  return word.substr(0, std::min(word.find('['), word.find(']')));
}

WordKind containers_for(std::string_view command) {
  static constexpr std::string_view kUp[] = {"attach", "exec", "kill", "pause", "stop", "top"};
  const std::string_view verb = command.substr(command.rfind(' ') + 1);
  if (std::find(std::begin(kUp), std::end(kUp), verb) != std::end(kUp)) {
    return WordKind::kContainersUp;
  }
  if (verb == "start") return WordKind::kContainersDown;
  if (verb == "unpause") return WordKind::kContainersPaused;
  return WordKind::kContainers;
}

void add_word(std::string_view command, std::string_view word, ArgumentHints::Place& place) {
  const auto add = [&](WordKind kind) {
    if (std::find(place.kinds.begin(), place.kinds.end(), kind) == place.kinds.end()) {
      place.kinds.push_back(kind);
    }
  };
  if (word.starts_with("CONTAINER:")) {
    place.is_path_in_container = true;
    add(WordKind::kContainers);
    return;
  }
  for (const std::string_view one : base::split(word, '|')) {
    if (one == "CONTAINER") add(containers_for(command));
    if (one == "IMAGE" || one == "SOURCE_IMAGE" || one == "TARGET_IMAGE" || one == "REPOSITORY" ||
        one == "MANIFEST" || one == "NAME") {
      add(WordKind::kImages);
    }
    if (one == "ID") add(WordKind::kContainers);
    if (one == "NETWORK") add(WordKind::kNetworks);
    if (one == "VOLUME") add(WordKind::kVolumes);
    if (one == "DIRECTORY") add(WordKind::kDirectories);
    if (one == "file" || one == "SRC_PATH" || one == "DEST_PATH") add(WordKind::kFiles);
    if (one == "COMMAND" && command == "help") add(WordKind::kCommands);
  }
  // "bash|zsh|fish": written as it is typed.
  if (word.find('|') == std::string_view::npos || word.find("file") == 0) return;
  for (const std::string_view one : base::split(word, '|')) {
    if (is_choice(one) && std::islower(static_cast<unsigned char>(one[0])) != 0) {
      place.choices.emplace_back(one);
    }
  }
}

}  // namespace

ValueHint value_hint(const FlagHelp& flag) {
  ValueHint hint;
  for (const NamedFlag& named : kNamedFlags) {
    if (has_name(flag, named.name)) hint.kinds.push_back(named.kind);
  }
  const std::size_t open = flag.help.find('(');
  const std::size_t close = flag.help.find(')', open);
  if (close != std::string::npos) {
    const std::string_view group = std::string_view(flag.help).substr(open + 1, close - open - 1);
    if (group.find('|') != std::string_view::npos) take_alternatives(group, hint);
  }
  if (hint.choices.empty()) take_quoted(flag.help, hint);
  return hint;
}

std::vector<std::string_view> hinted_flags() {
  std::vector<std::string_view> names;
  for (const NamedFlag& named : kNamedFlags) names.push_back(named.name);
  return names;
}

ArgumentHints argument_hints(std::string_view command, const Syntax& syntax) {
  ArgumentHints hints;
  // The argument of "create" is a name that is not there yet.
  if (syntax.command == "network create" || syntax.command == "volume create") return hints;
  for (const std::string_view line : base::split(syntax.synopsis, '\n')) {
    std::size_t place = 0;
    for (const std::string_view word : base::split(line, ' ')) {
      const std::string_view bare = bare_word(word);
      // What starts a second form: "cp CONTAINER:SRC_PATH DEST_PATH|-".
      if (bare.empty() || bare == "OPTIONS" || bare == "sampan" || bare == syntax.command) continue;
      if (word.find("...") != std::string_view::npos) {
        hints.repeats = true;
        if (place > 0) continue;  // "IMAGE [IMAGE...]": the one before
      }
      if (hints.places.size() <= place) hints.places.resize(place + 1);
      add_word(command, bare, hints.places[place]);
      ++place;
    }
  }
  return hints;
}

}  // namespace cli
