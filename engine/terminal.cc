#include "engine/terminal.h"

#include <csignal>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/error.h"

namespace engine {
namespace {

constexpr int kDeadlySignals[] = {SIGSEGV, SIGABRT, SIGBUS, SIGFPE};

// For the handlers, which can be given nothing else.
termios saved_terminal;

void restore_and_die(int signal) {
  tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);  // async-signal-safe: signal-safety(7)
  ::signal(signal, SIG_DFL);
  raise(signal);
}

// One of docker's key names: "ctrl-p", "ctrl-@", or a single character.
char parse_key(std::string_view key, std::string_view whole) {
  if (key.size() == 1) return key[0];
  if (key.size() == 6 && key.starts_with("ctrl-")) {
    const char c = key[5];
    if (c >= 'a' && c <= 'z') return static_cast<char>(c - 'a' + 1);
    if (c == '@') return 0;
    if (c >= '[' && c <= '_') return static_cast<char>(c - '[' + 27);
  }
  throw base::Error(base::ErrorKind::kInvalid, "invalid detach keys (" + std::string(whole) +
                                                   "): Unknown character: '" + std::string(key) +
                                                   "'");
}

}  // namespace

RawTerminal::RawTerminal() {
  if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
  saved_terminal = before_;
  termios raw = before_;
  cfmakeraw(&raw);
  if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0) return;
  is_raw_ = true;
  for (const int number : kDeadlySignals) ::signal(number, restore_and_die);
}

void RawTerminal::restore() noexcept {
  if (!is_raw_) return;
  is_raw_ = false;
  tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  for (const int number : kDeadlySignals) ::signal(number, SIG_DFL);
}

TerminalSize terminal_size() {
  winsize size = {};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0) {
    return {};
  }
  return {size.ws_row, size.ws_col};
}

std::string parse_detach_keys(std::string_view text) {
  std::string keys;
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t end = rest.find(',');
    keys += parse_key(rest.substr(0, end), text);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return keys;
}

std::string DetachWatch::filter(std::string_view typed, bool& detached) {
  if (keys_.empty()) return std::string(typed);
  std::string passed;
  for (const char c : typed) {
    if (c == keys_[matched_]) {
      if (++matched_ < keys_.size()) continue;
      detached = true;
      return passed;
    }
    passed.append(keys_, 0, matched_);
    matched_ = c == keys_[0] ? 1 : 0;
    if (matched_ == 0) passed += c;
    if (matched_ == keys_.size()) {
      detached = true;
      return passed;
    }
  }
  return passed;
}

}  // namespace engine
