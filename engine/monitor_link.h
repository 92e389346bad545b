// MonitorLink: a monitor seen from a command: starting one, and connecting to one that runs.
#pragma once

#include <optional>
#include <string>
#include <sys/types.h>

#include "base/unique_fd.h"
#include "engine/attach_protocol.h"
#include "engine/engine.h"
#include "engine/run_directory.h"

namespace engine {

// One end of a socket to a monitor. Blocking.
class MonitorLink {
 public:
  explicit MonitorLink(base::UniqueFd socket) : socket_(std::move(socket)) {}

  int fd() const { return socket_.get(); }
  void send(FrameType type, std::string_view payload);  // a monitor that is gone is seen by receive
  void send(FrameType type, int fd);                    // with a copy of the descriptor
  bool receive();                                       // false at the end
  bool next(FrameReader::Frame& frame) { return reader_.next(frame); }
  // Waits for a frame. nullopt at the end of the connection.
  std::optional<FrameReader::Frame> wait_next();

 private:
  base::UniqueFd socket_;
  FrameReader reader_;
};

// A monitor process that waits for its job: started early, while the command still writes rows.
class NewMonitor {
 public:
  explicit NewMonitor(const Config& config);
  NewMonitor(NewMonitor&&) = default;
  NewMonitor& operator=(NewMonitor&&) = delete;
  ~NewMonitor();  // reaps it where it has ended by now

  // Gives it the container and its lock.
  MonitorLink hand_over(const std::string& id, base::UniqueFd lock, std::uint8_t flags,
                        std::uint8_t wants);

 private:
  base::UniqueFd socket_;
  // The program's mount, which closing takes apart: the kernel waits for every processor meanwhile,
  // so it is closed when the command has nothing else to do.
  base::UniqueFd program_;
  pid_t pid_ = -1;
};

// nullopt where no monitor answers.
std::optional<MonitorLink> connect_monitor(const RunDirectory& directory, std::uint8_t hello);

// Until kStarted. Throws what the monitor tells, or kSystem where it died. Passes traces on.
void wait_until_started(MonitorLink& link);

// Until the exit code. nullopt where the monitor died without telling.
std::optional<int> wait_for_exit_code(MonitorLink& link);

}  // namespace engine
