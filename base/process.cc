#include "base/process.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/error.h"
#include "base/files.h"

namespace base {
namespace {

int pidfd_open_of(pid_t pid) { return static_cast<int>(syscall(SYS_pidfd_open, pid, 0)); }

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// What the child of vfork() needs: it shares our memory, so it only reads this and writes
// `failure`.
struct ChildWork {
  int program_fd;
  const char* program;
  char* const* argv;
  char* const* envp;
  const DescriptorMap* map;
  std::size_t map_size;
  int highest;  // above every descriptor that `theirs` names
  bool new_session;
  volatile int failure;  // the compiler does not see that another process writes it
};

// Runs between vfork and execve: system calls only.
[[noreturn]] void become_program(ChildWork& work) {
  sigset_t none;
  sigemptyset(&none);
  struct sigaction standard = {};
  standard.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &standard, nullptr);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (work.new_session) setsid();

  // Two passes: first out of each other's way, above every target, then down to their places.
  for (std::size_t i = 0; i < work.map_size; ++i) {
    const int source =
        work.map[i].ours >= 0 ? work.map[i].ours : open("/dev/null", O_RDWR | O_CLOEXEC);
    const int target = work.highest + static_cast<int>(i);
    // /dev/null may have been opened at its place already, which dup3 refuses.
    if (source != target && dup3(source, target, O_CLOEXEC) < 0) {
      work.failure = errno;
      _exit(127);
    }
  }
  const int program = work.highest + static_cast<int>(work.map_size);
  if (work.program_fd >= 0 && dup3(work.program_fd, program, O_CLOEXEC) < 0) {
    work.failure = errno;
    _exit(127);
  }
  syscall(SYS_close_range, 3U, ~0U, 1U << 2U /* CLOSE_RANGE_CLOEXEC */);
  for (int standard_fd = 0; standard_fd < 3; ++standard_fd) {
    fcntl(standard_fd, F_SETFD, FD_CLOEXEC);
  }
  for (std::size_t i = 0; i < work.map_size; ++i) {
    if (dup2(work.highest + static_cast<int>(i), work.map[i].theirs) < 0) {
      work.failure = errno;
      _exit(127);
    }
  }
  if (work.program_fd >= 0) {
    syscall(SYS_execveat, program, "", work.argv, work.envp, AT_EMPTY_PATH);
  } else {
    execve(work.program, work.argv, work.envp);
  }
  work.failure = errno;
  _exit(127);
}

// Reading says ESRCH where the process was reaped after the file had been opened.
std::optional<std::string> find_stat(pid_t pid) {
  try {
    return find_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  } catch (const Error& error) {
    if (error.errno_value() == ESRCH) return std::nullopt;
    throw;
  }
}

}  // namespace

std::optional<ProcessId> find_process(pid_t pid) {
  const auto content = find_stat(pid);
  if (!content) return std::nullopt;
  // The second field is the name in parentheses and may hold anything: count from the last ')'.
  std::size_t at = content->rfind(')');
  if (at == std::string::npos) return std::nullopt;
  for (int field = 2; field < 22; ++field) {
    at = content->find(' ', at + 1);
    if (at == std::string::npos) return std::nullopt;
  }
  ProcessId id{.pid = pid};
  std::from_chars(content->data() + at + 1, content->data() + content->size(), id.start_time);
  return id;
}

std::optional<UniqueFd> open_process(const ProcessId& id) {
  if (id.pid <= 0) return std::nullopt;
  UniqueFd fd(pidfd_open_of(id.pid));
  if (!fd) {
    if (errno == ESRCH || errno == EINVAL) return std::nullopt;
    throw_errno("pidfd_open " + std::to_string(id.pid));
  }
  // The pid is pinned by the pidfd only as long as the process lives: look at its start time
  // afterwards.
  const auto now = find_process(id.pid);
  if (!now || *now != id) return std::nullopt;
  return fd;
}

bool has_exited(int pidfd) { return wait_for_exit(pidfd, 0); }

bool wait_for_exit(int pidfd, int milliseconds) {
  timespec deadline = {};
  clock_gettime(CLOCK_MONOTONIC, &deadline);
  const auto now_ms = [] {
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
  };
  const auto end = deadline.tv_sec * 1000 + deadline.tv_nsec / 1000000 + milliseconds;
  for (;;) {
    pollfd item = {.fd = pidfd, .events = POLLIN, .revents = 0};
    const auto left = milliseconds < 0 ? -1 : std::max<decltype(end)>(0, end - now_ms());
    const int count = poll(&item, 1, static_cast<int>(left));
    if (count < 0 && errno == EINTR) continue;
    check(count, "poll");
    return count > 0;
  }
}

bool send_signal(int pidfd, int signal) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0) return true;
  if (errno == ESRCH) return false;
  throw_errno("pidfd_send_signal");
}

std::string boot_id() {
  std::string id = read_file("/proc/sys/kernel/random/boot_id", 128);
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

UniqueFd open_self_read_only() {
  UniqueFd clone(static_cast<int>(
      syscall(SYS_open_tree, AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (clone) {
    mount_attr attributes = {};
    attributes.attr_set = MOUNT_ATTR_RDONLY;
    if (syscall(SYS_mount_setattr, clone.get(), "", AT_EMPTY_PATH, &attributes,
                sizeof attributes) == 0) {
      return clone;
    }
  }
  return open_file("/proc/self/exe", O_PATH);
}

pid_t spawn(const SpawnOptions& options) {
  std::vector<std::string> arguments = options.arguments;
  std::vector<std::string> environment = options.environment.value_or(std::vector<std::string>());
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(environment);
  int highest = 3;
  for (const DescriptorMap& entry : options.descriptors) {
    highest = std::max({highest, entry.theirs + 1, entry.ours + 1});
  }
  highest = std::max(highest, options.program_fd + 1);
  ChildWork work = {.program_fd = options.program_fd,
                    .program = options.program.c_str(),
                    .argv = argv.data(),
                    .envp = options.environment ? envp.data() : environ,
                    .map = options.descriptors.data(),
                    .map_size = options.descriptors.size(),
                    .highest = highest,
                    .new_session = options.new_session,
                    .failure = 0};
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);  // a handler of ours must not run in the child
  // NOLINTBEGIN(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork)
  const pid_t pid = vfork();  // posix_spawn(3) can't execute a descriptor
  if (pid == 0) become_program(work);
  // NOLINTEND(clang-analyzer-security.insecureAPI.vfork, clang-analyzer-unix.Vfork)
  const int fork_errno = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) throw_errno("vfork", fork_errno);
  if (work.failure != 0) {
    wait_for_child(pid);
    throw_errno("execute " + (options.program.empty() ? arguments.front() : options.program),
                work.failure);
  }
  return pid;
}

int wait_for_child(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) throw_errno("waitpid");
  }
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace base
