// Session: waits for a process of ours in a container, passing on signals and, with a terminal,
// what is typed and shown.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>

#include "base/unique_fd.h"
#include "oci/runtime_spec.h"

namespace cli_oci {

class NotifySocket;

// Takes signals from now on as descriptors, so that none is lost between the birth of the process
// and wait(). Restores the terminal and the signal mask in the end, whatever happens.
class Session {
 public:
  Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // `console`: the pty's master, or none. `notify`: lent, whose first message that the container is
  // ready goes to the service manager. Returns the exit code: its own, or 128 + the signal.
  int wait(pid_t pid, int pidfd, base::UniqueFd console, const NotifySocket* notify = nullptr);

 private:
  base::UniqueFd signals_;
};

// The size of our own terminal, so that the process never sees another; none without one.
std::optional<oci::ConsoleSize> find_console_size();

// Connects to the Unix socket that wants the pty's master.
base::UniqueFd connect_console(const std::string& path);

}  // namespace cli_oci
