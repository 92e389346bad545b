// Activation: what a service manager (systemd) hands to a program that it starts: listening sockets
// by LISTEN_FDS, and a socket by NOTIFY_SOCKET that wants to hear when the service is ready.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/unique_fd.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {

// How many descriptors from 3 on a service manager has given to this very process; see
// sd_listen_fds(3).
int count_listen_fds();
// What the container's process must find in its environment to take them over.
void add_listen_variables(oci::Process& process, int count);

// Stands between the container, which may not reach the manager's socket, and the manager: of what
// the container says, only that it is ready is passed on, with the id of its first process.
class NotifySocket {
 public:
  // None where NOTIFY_SOCKET is not set. Throws kInvalid for an address that can't be one.
  static std::optional<NotifySocket> from_environment(const fs::path& state_dir);
  NotifySocket(NotifySocket&& other) noexcept;
  NotifySocket& operator=(NotifySocket&&) = delete;
  ~NotifySocket();

  // Mounts the socket's directory at /run/notify in the container.
  void add_to(oci::RuntimeSpec& spec) const;
  // Makes that directory, inside the state directory; it is removed in the end unless kept.
  void make_directory();
  void keep() { made_notify_ = made_state_ = false; }
  // Where a `create` has made the directory: listens there. From now on the container may write.
  bool bind();
  int fd() const { return socket_.get(); }

  // Reads one message; true once READY=1 has come and is passed on. `main_pid` > 0: said, too.
  bool forward(pid_t main_pid) const;
  // Until the container is ready or its process has ended.
  void forward_until_ready(int pidfd, pid_t main_pid) const;

 private:
  NotifySocket(fs::path state_dir, std::string address)
      : state_dir_(std::move(state_dir)), address_(std::move(address)) {}
  void tell_manager(const std::string& ready, pid_t main_pid) const;

  fs::path state_dir_;
  std::string address_;  // the manager's
  base::UniqueFd socket_;
  bool made_notify_ = false, made_state_ = false;
};

}  // namespace cli_oci
