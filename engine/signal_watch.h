// SignalWatch: the command's own signals as bytes of a descriptor, for loops that poll.
#pragma once

#include <csignal>

#include "base/unique_fd.h"

namespace engine {

class SignalWatch {
 public:
  // kForward: every signal that docker's CLI passes on to a container. kTerminal: those that end a
  // command which must give its terminal back first. Both: SIGWINCH.
  enum class Purpose { kForward, kTerminal, kNone };
  explicit SignalWatch(Purpose purpose);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();  // signals do again what they did before

  int fd() const { return fd_.get(); }  // -1 where nothing is watched
  int next();                           // 0: no more

 private:
  base::UniqueFd fd_;
  sigset_t before_ = {};
};

// Ends this process as the signal would have.
[[noreturn]] void die_of(int signal);

}  // namespace engine
