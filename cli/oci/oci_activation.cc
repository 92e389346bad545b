#include "cli/oci/oci_activation.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

#include "base/descriptor_passing.h"
#include "base/files.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

constexpr char kInContainer[] = "/run/notify";
constexpr char kDirectory[] = "notify";
constexpr char kSocket[] = "notify.sock";
constexpr int kMostListenFds = 1024;
constexpr int kBarrierMilliseconds = 30'000;

std::optional<long> parse_number(const std::string& text) {
  long value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || result.ec != std::errc() || *result.ptr != '\0') return std::nullopt;
  return value;
}

struct Address {
  sockaddr_un value = {};
  socklen_t size = 0;
};

// "@name" is an abstract one, see sd_notify(3).
Address parse_address(const std::string& text) {
  Address address;
  address.value.sun_family = AF_UNIX;
  const bool known = text.starts_with('/') || text.starts_with('@');
  if (!known || text.size() < 2 || text.size() >= sizeof address.value.sun_path) {
    throw Error(ErrorKind::kInvalid, "NOTIFY_SOCKET \"" + text + "\" is no address of a socket");
  }
  std::memcpy(address.value.sun_path, text.data(), text.size());
  if (text.front() == '@') address.value.sun_path[0] = '\0';
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size());
  return address;
}

void send_text(int socket, const std::string& text) {
  base::check(send(socket, text.data(), text.size(), MSG_NOSIGNAL), "tell the service manager");
}

// Returns once the manager has taken in all that was sent: it closes the pipe it is given then. See
// sd_notify_barrier(3).
void wait_for_barrier(int socket) {
  std::array<int, 2> ends = {-1, -1};
  base::check(pipe2(ends.data(), O_CLOEXEC), "pipe");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  if (base::send_with_descriptor(socket, "BARRIER=1", theirs.get()) < 0) return;
  theirs.reset();
  pollfd item = {.fd = ours.get(), .events = POLLIN, .revents = 0};
  poll(&item, 1, kBarrierMilliseconds);
}

}  // namespace

int count_listen_fds() {
  const auto pid = parse_number(variable("LISTEN_PID"));
  const auto count = parse_number(variable("LISTEN_FDS"));
  if (!pid || *pid != getpid() || !count) return 0;
  return static_cast<int>(std::clamp<long>(*count, 0, kMostListenFds));
}

void add_listen_variables(oci::Process& process, int count) {
  if (count == 0) return;
  process.env.push_back("LISTEN_FDS=" + std::to_string(count));
  process.env.emplace_back("LISTEN_PID=1");  // its id in the container's own pid namespace
  const std::string names = variable("LISTEN_FDNAMES");
  if (!names.empty()) process.env.push_back("LISTEN_FDNAMES=" + names);
}

std::optional<NotifySocket> NotifySocket::from_environment(const fs::path& state_dir) {
  const std::string address = variable("NOTIFY_SOCKET");
  if (address.empty()) return std::nullopt;
  parse_address(address);
  return NotifySocket(state_dir, address);
}

NotifySocket::NotifySocket(NotifySocket&& other) noexcept
    : state_dir_(std::move(other.state_dir_)),
      address_(std::move(other.address_)),
      socket_(std::move(other.socket_)),
      made_notify_(std::exchange(other.made_notify_, false)),
      made_state_(std::exchange(other.made_state_, false)) {}

NotifySocket::~NotifySocket() {
  if (made_notify_) rmdir((state_dir_ / kDirectory).c_str());
  if (made_state_) rmdir(state_dir_.c_str());
}

void NotifySocket::add_to(oci::RuntimeSpec& spec) const {
  spec.mounts.push_back({.destination = kInContainer,
                         .type = "bind",
                         .source = (state_dir_ / kDirectory).string(),
                         .options = {"bind", "nosuid", "noexec", "nodev", "ro"}});
  if (spec.process) {
    spec.process->env.push_back(std::string("NOTIFY_SOCKET=") + kInContainer + "/" + kSocket);
  }
}

void NotifySocket::make_directory() {
  // Another container's: create() will say so.
  if (fs::exists(state_dir_ / "state.json")) return;
  base::make_dirs(state_dir_.parent_path(), 0711);
  made_state_ = mkdir(state_dir_.c_str(), 0711) == 0;
  if (!made_state_ && errno != EEXIST) base::throw_errno(state_dir_.string());
  const fs::path directory = state_dir_ / kDirectory;
  made_notify_ = mkdir(directory.c_str(), 0755) == 0;
  if (!made_notify_ && errno != EEXIST) base::throw_errno(directory.string());
}

bool NotifySocket::bind() {
  const UniqueFd directory(
      open((state_dir_ / kDirectory).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return false;
  // By descriptor: the directory's own name may be longer than an address can be.
  const std::string name = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + kSocket;
  const Address address = parse_address(name);
  unlink(name.c_str());
  socket_.reset(base::check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  base::check(
      ::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address.value), address.size),
      "notify socket");
  base::check(chmod(name.c_str(), 0777), "notify socket");  // whoever the container's user is
  return true;
}

bool NotifySocket::forward(pid_t main_pid) const {
  std::string message(4096, '\0');
  const ssize_t size = recv(socket_.get(), message.data(), message.size(), MSG_DONTWAIT);
  if (size <= 0) return false;
  message.resize(static_cast<std::size_t>(size));
  for (std::size_t at = 0; at < message.size();) {
    const std::size_t end = std::min(message.find('\n', at), message.size());
    const std::string line = message.substr(at, end - at);
    if (line.starts_with("READY=")) {
      tell_manager(line, main_pid);
      return true;
    }
    at = end + 1;
  }
  return false;
}

void NotifySocket::tell_manager(const std::string& ready, pid_t main_pid) const {
  const Address address = parse_address(address_);
  const UniqueFd manager(base::check(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  base::check(
      connect(manager.get(), reinterpret_cast<const sockaddr*>(&address.value), address.size),
      "NOTIFY_SOCKET " + address_);
  send_text(manager.get(), ready + "\n");
  if (main_pid > 0) send_text(manager.get(), "MAINPID=" + std::to_string(main_pid) + "\n");
  wait_for_barrier(manager.get());
}

void NotifySocket::forward_until_ready(int pidfd, pid_t main_pid) const {
  for (;;) {
    std::array<pollfd, 2> items = {pollfd{.fd = socket_.get(), .events = POLLIN, .revents = 0},
                                   pollfd{.fd = pidfd, .events = POLLIN, .revents = 0}};
    if (poll(items.data(), items.size(), -1) < 0 && errno != EINTR) base::throw_errno("poll");
    if ((items[0].revents & POLLIN) != 0 && forward(main_pid)) return;
    if (items[0].revents == 0 && items[1].revents != 0) return;
  }
}

}  // namespace cli_oci
