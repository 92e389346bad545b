// Completion: what the word under the cursor may become, worked out from the tables of the help.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/arguments.h"
#include "cli/command.h"

namespace cli {

// What can stand where a word is asked for.
enum class WordKind {
  kNothing,  // anything: nobody can know it
  kContainers,
  kContainersUp,
  kContainersDown,
  kContainersPaused,
  kImages,
  kNetworks,
  kVolumes,
  kCommands,
  kSignals,
  kCapabilities,
  kPlatforms,
  kFiles,
  kDirectories,
};

struct Candidate {
  std::string word, description;
  bool is_id = false;  // offered only where no name fits what is typed
};

struct Completion {
  std::vector<Candidate> candidates;
  enum class Space { kAfter, kNone } space = Space::kAfter;  // behind the only candidate
  enum class Files { kNone, kAll, kDirectories } files = Files::kNone;
};

// Asks the store; absence of names is an answer.
using FindNames = std::function<std::vector<Candidate>(WordKind)>;

// How many of the words stand before the command. The last word is the one under the cursor, which
// does not count.
std::size_t count_global_words(const Words& words);

// Pure but for `find`.
Completion complete_words(const Words& words, const FindNames& find);

// What a value of this flag can be, by its name and by the words that its help offers:
// ("a", "b") or (a|b|container:<name>).
struct ValueHint {
  std::vector<WordKind> kinds;
  std::vector<std::string> choices;
  bool may_name_container = false;  // container:NAME
};
ValueHint value_hint(const FlagHelp& flag);
// The flags that value_hint() knows by name, for a test that they exist.
std::vector<std::string_view> hinted_flags();

// What the arguments of a command can be, by the words of its synopsis; the last repeats where
// `repeats`.
struct ArgumentHints {
  struct Place {
    std::vector<WordKind> kinds;
    std::vector<std::string> choices;
    bool is_path_in_container = false;  // CONTAINER:PATH
  };
  std::vector<Place> places;
  bool repeats = false;
};
ArgumentHints argument_hints(std::string_view command, const Syntax& syntax);

// The script for "bash", "zsh" or "fish"; it asks `sampan __complete` for all it offers. Throws
// kInvalid for other shells.
std::string_view completion_script(std::string_view shell);

// What names the store has, for one look at it.
FindNames names_of_store(const engine::Config& config);

}  // namespace cli
