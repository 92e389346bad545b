// RawTerminal: the user's terminal without line editing, given back as it was whatever happens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <termios.h>

namespace engine {

// Standard input is made raw where it is a terminal. The destructor restores it; so do handlers for
// SIGSEGV, SIGABRT, SIGBUS and SIGFPE, because an assertion must not leave a terminal unusable.
// At most one at a time.
class RawTerminal {
 public:
  RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() { restore(); }

  void restore() noexcept;

 private:
  termios before_ = {};
  bool is_raw_ = false;
};

struct TerminalSize {
  std::uint16_t height = 0, width = 0;  // 0: no terminal
};
TerminalSize terminal_size();

// "ctrl-p,ctrl-q" as the bytes that those keys send. Throws kInvalid with docker's words.
std::string parse_detach_keys(std::string_view text);

// Looks for the detach keys in what is typed; what may be their beginning is held back.
class DetachWatch {
 public:
  explicit DetachWatch(std::string keys) : keys_(std::move(keys)) {}
  // What of `typed` goes on to the container; sets `detached` where the keys were complete.
  std::string filter(std::string_view typed, bool& detached);

 private:
  std::string keys_;
  std::size_t matched_ = 0;
};

}  // namespace engine
