// completion, and the hidden command that the shells' scripts ask.
#include "base/text.h"
#include "cli/commands.h"
#include "cli/completion.h"

namespace cli {
namespace {

constexpr std::size_t kMaxDescription = 100;

// A line for each candidate, then one that says what the shell is to do besides: ":files",
// ":directories", ":nospace", or two of them.
std::string render(const Completion& completion) {
  std::string text;
  for (const Candidate& one : completion.candidates) {
    // Names come from images and users of other accounts: nothing of theirs is a second line.
    text += base::printable(one.word, 4096);
    if (!one.description.empty()) text += "\t" + base::printable(one.description, kMaxDescription);
    text += "\n";
  }
  text += ":";
  if (completion.files == Completion::Files::kAll) text += "files ";
  if (completion.files == Completion::Files::kDirectories) text += "directories ";
  if (completion.space == Completion::Space::kNone) text += "nospace";
  return text + "\n";
}

}  // namespace

int run_completion(const Globals&, const Words& words) {
  const Words arguments =
      parse_arguments({.command = "completion",
                       .synopsis = "bash|zsh|fish",
                       .summary = "Print a script that lets a shell complete words",
                       .min_arguments = 1,
                       .max_arguments = 1},
                      {}, words);
  print(completion_script(arguments[0]));
  return 0;
}

// `sampan __complete WORD...`: the last word is the one under the cursor, empty where it is new.
int run_complete(const Globals& globals, const Words& words) {
  // The words before the command say which store is meant.
  engine::Config config = globals.config;
  try {
    const std::size_t count = count_global_words(words);
    if (count < words.size()) {
      const auto end = words.begin() + static_cast<std::ptrdiff_t>(count);
      config = parse_globals(Words(words.begin(), end)).config;
    }
  } catch (const std::exception&) {
    return 1;  // the shell offers nothing; a message would land in the line that is typed
  }
  const FindNames find = names_of_store(config);
  const auto find_quietly = [&](WordKind kind) -> std::vector<Candidate> {
    try {
      return find(kind);
    } catch (const base::Error&) {
      return {};  // not our store to read
    }
  };
  print(render(complete_words(words, find_quietly)));
  return 0;
}

}  // namespace cli
