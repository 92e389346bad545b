#include "engine/monitor_link.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace engine {

void MonitorLink::send(FrameType type, std::string_view payload) {
  const std::string frame = render_frame(type, payload);
  std::string_view rest = frame;
  while (!rest.empty()) {
    const ssize_t count = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return;
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
}

bool MonitorLink::receive() {
  std::array<char, 65536> buffer;
  const ssize_t count = recv(socket_.get(), buffer.data(), buffer.size(), 0);
  if (count < 0 && errno == EINTR) return true;
  if (count <= 0) return false;
  reader_.add({buffer.data(), static_cast<std::size_t>(count)});
  return true;
}

std::optional<FrameReader::Frame> MonitorLink::wait_next() {
  FrameReader::Frame frame{};
  while (!reader_.next(frame)) {
    if (!receive()) return std::nullopt;
  }
  return frame;
}

NewMonitor::NewMonitor(const Config& config) {
  base::TraceStep step("engine", "start the monitor process");
  int pair[2] = {-1, -1};
  base::check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
  socket_.reset(pair[0]);
  const base::UniqueFd theirs(pair[1]);
  program_ = base::open_self_read_only();
  base::SpawnOptions options;
  options.program_fd = program_.get();
  options.arguments = {"sampan",
                       "__monitor",
                       "--root",
                       config.root.string(),
                       "--state",
                       config.state.string(),
                       "--cgroup-parent",
                       config.cgroup_parent,
                       "--obey-host-filter",
                       config.obey_host_filter ? "1" : "0"};
  options.environment.emplace();
  options.descriptors = {{-1, 0}, {-1, 1}, {-1, 2}, {theirs.get(), 3}};
  options.new_session = true;
  pid_ = base::spawn(options);
}

NewMonitor::~NewMonitor() {
  socket_.reset();
  int status = 0;
  if (pid_ > 0) waitpid(pid_, &status, WNOHANG);
}

MonitorLink NewMonitor::hand_over(const std::string& id, base::UniqueFd lock, std::uint8_t flags,
                                  std::uint8_t wants) {
  std::string payload = {static_cast<char>(flags), static_cast<char>(wants)};
  const std::string frame = render_frame(FrameType::kJob, payload + id);
  base::check(base::send_with_descriptor(socket_.get(), frame, lock.get()),
              "tell the monitor its job");
  return MonitorLink(std::move(socket_));
}

void MonitorLink::send(FrameType type, int fd) {
  base::send_with_descriptor(socket_.get(), render_frame(type, {}), fd);
}

std::optional<MonitorLink> connect_monitor(const RunDirectory& directory, std::uint8_t hello) {
  const base::UniqueFd folder(open(directory.path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return std::nullopt;
  const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/attach.sock";
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::UniqueFd socket(base::check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
  if (connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return std::nullopt;
  }
  MonitorLink link(std::move(socket));
  link.send(FrameType::kHello, std::string(1, static_cast<char>(hello)));
  return link;
}

void wait_until_started(MonitorLink& link) {
  while (const auto frame = link.wait_next()) {
    switch (frame->type) {
      case FrameType::kStarted:
        return;
      case FrameType::kError:
        throw parse_error(frame->payload);
      case FrameType::kTrace:
        pass_on_trace(frame->payload);
        break;
      default:
        break;
    }
  }
  throw base::Error(base::ErrorKind::kSystem, "the container's monitor ended unexpectedly");
}

std::optional<int> wait_for_exit_code(MonitorLink& link) {
  while (const auto frame = link.wait_next()) {
    if (frame->type == FrameType::kExit) return static_cast<int>(parse_number(frame->payload));
  }
  return std::nullopt;
}

}  // namespace engine
