// Arguments: a command's flags as a table; parsing, help and usage errors are all derived from it.
#pragma once

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cli {

// Where a flag's value goes. An optional stays empty, and a vector too, where the flag is not
// given.
using FlagTarget =
    std::variant<bool*, std::string*, std::optional<std::string>*, std::vector<std::string>*, int*,
                 std::optional<int>*, std::int64_t*, std::uint64_t*>;

struct Flag {
  std::string names;  // "-d,--detach"
  std::string value;  // what help calls the value: "list", "bytes"; empty for a switch
  std::string help;
  FlagTarget target;
};

constexpr std::size_t kAnyNumber = SIZE_MAX;

struct Syntax {
  std::string command;   // "run", "container ls"
  std::string synopsis;  // "[OPTIONS] IMAGE [COMMAND] [ARG...]"
  std::string summary;
  std::size_t min_arguments = 0;
  std::size_t max_arguments = 0;
  // kStop: everything from the first argument on belongs to the container's command.
  enum class Flags { kAnywhere, kBeforeArguments } flags = Flags::kAnywhere;
};

// The user's mistake on the command line: printed with a hint at --help, exit code as docker's.
class UsageError : public std::runtime_error {
 public:
  UsageError(const std::string& text, int exit_code) : std::runtime_error(text), code_(exit_code) {}
  int exit_code() const { return code_; }

 private:
  int code_;
};

// A flag as help, completion and manual pages know it.
struct FlagHelp {
  std::string names, value, help;  // as in Flag
  bool is_switch = false;
};

// --help was asked for: what() is the text to print on stdout, the rest is what it was made from.
class HelpRequest : public std::runtime_error {
 public:
  explicit HelpRequest(const std::string& text) : std::runtime_error(text) {}
  HelpRequest(const Syntax& syntax, const std::vector<Flag>& flags);
  const Syntax& syntax() const { return syntax_; }
  const std::vector<FlagHelp>& flags() const { return flags_; }

 private:
  Syntax syntax_;
  std::vector<FlagHelp> flags_;
};

// Fills the targets and returns the arguments that are not flags. Throws UsageError or HelpRequest.
std::vector<std::string> parse_arguments(const Syntax& syntax, const std::vector<Flag>& flags,
                                         const std::vector<std::string>& arguments);

std::string render_help(const Syntax& syntax, const std::vector<Flag>& flags);

// The lines below "Options:".
std::string render_options(const std::vector<Flag>& flags);

// The candidate nearest to `word`, for "did you mean"; empty where none is near.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace cli
