#include "runtime/setup.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/trace.h"
#include "runtime/id_mapped.h"

namespace runtime {
namespace {

// Files of /proc want their whole content in one write(2).
void write_proc(pid_t pid, const char* name, const std::string& text) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const base::UniqueFd fd = base::open_file(path, O_WRONLY);
  base::check(write(fd.get(), text.data(), text.size()), path);
}

bool is_own(const std::vector<oci::IdMapping>& mappings, std::uint32_t id) {
  return mappings.size() == 1 && mappings[0].size == 1 && mappings[0].host_id == id;
}

// Debian's package uidmap: set-uid programs that know who may have which ranges.
void run_id_mapper(const char* name, pid_t pid, const std::vector<oci::IdMapping>& mappings) {
  std::vector<std::string> arguments = {name, std::to_string(pid)};
  for (const oci::IdMapping& mapping : mappings) {
    for (const std::uint32_t number : {mapping.container_id, mapping.host_id, mapping.size}) {
      arguments.push_back(std::to_string(number));
    }
  }
  const std::string program = std::string("/usr/bin/") + name;
  if (access(program.c_str(), X_OK) != 0) {
    throw base::Error(base::ErrorKind::kNotFound,
                      program +
                          " is missing: it maps ranges of ids for users other than root "
                          "(Debian's package uidmap)",
                      ENOENT);
  }
  const base::UniqueFd output(base::check(memfd_create(name, MFD_CLOEXEC), "memfd_create"));
  const int code =
      base::wait_for_child(base::spawn({.program = program,
                                        .arguments = arguments,
                                        .environment = std::vector<std::string>{},
                                        .descriptors = {{.ours = -1, .theirs = 0},
                                                        {.ours = output.get(), .theirs = 1},
                                                        {.ours = output.get(), .theirs = 2}}}));
  if (code == 0) return;
  base::check(lseek(output.get(), 0, SEEK_SET), "lseek");
  std::string words = base::read_fd(output.get());
  while (!words.empty() && words.back() == '\n') words.pop_back();
  throw base::Error(base::ErrorKind::kSystem,
                    std::string(name) + ": exit code " + std::to_string(code) + ": " + words);
}

bool may_map_anything() {
  return ((held_capabilities() >> static_cast<unsigned>(CAP_SETUID)) & 1U) != 0;
}

// What every process of a user namespace shares with its creator, and what not.
constexpr std::pair<const char*, std::uint64_t> kNamespaceFiles[] = {
    {"cgroup", CLONE_NEWCGROUP}, {"ipc", CLONE_NEWIPC}, {"mnt", CLONE_NEWNS},
    {"net", CLONE_NEWNET},       {"pid", CLONE_NEWPID}, {"time", 0x80},
    {"user", CLONE_NEWUSER},     {"uts", CLONE_NEWUTS}};

}  // namespace

std::uint64_t shared_namespaces(pid_t pid) {
  std::uint64_t shared = 0;
  for (const auto& [name, flag] : kNamespaceFiles) {
    struct stat ours = {};
    struct stat theirs = {};
    const std::string file = std::string("/ns/") + name;
    if (stat(("/proc/self" + file).c_str(), &ours) == 0 &&
        stat(("/proc/" + std::to_string(pid) + file).c_str(), &theirs) == 0 &&
        ours.st_ino == theirs.st_ino && ours.st_dev == theirs.st_dev) {
      shared |= flag;
    }
  }
  return shared;
}

void pass_listener(const SeccompProgram& filter, const State& state, pid_t pid, int pidfd,
                   int listener_number) {
  base::while_doing("linux.seccomp.listenerPath " + filter.listener_path, [&] {
    const base::UniqueFd listener(static_cast<int>(base::check(
        syscall(SYS_pidfd_getfd, pidfd, listener_number, 0), "take the filter's listener")));
    const base::UniqueFd socket_fd(
        base::check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (filter.listener_path.size() >= sizeof address.sun_path) {
      base::throw_errno("connect", ENAMETOOLONG);
    }
    std::memcpy(address.sun_path, filter.listener_path.data(), filter.listener_path.size());
    base::check(
        connect(socket_fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
        "connect");
    base::check(base::send_with_descriptor(
                    socket_fd.get(), render_process_state(state, pid, filter.listener_metadata),
                    listener.get()),
                "send");
  });
}

std::optional<SeccompProgram> load_filter(const oci::RuntimeSpec& spec, const fs::path& cache_dir) {
  if (!spec.linux_.seccomp) return std::nullopt;
  const base::TraceStep step("runtime", "compile the seccomp filter");
  return cache_dir.empty() ? compile_seccomp(*spec.linux_.seccomp)
                           : load_or_compile_seccomp(*spec.linux_.seccomp, cache_dir);
}

std::string cgroups_path_of(const oci::RuntimeSpec& spec, const CreateOptions& options) {
  if (!spec.linux_.cgroups_path.empty()) return spec.linux_.cgroups_path;
  const std::string parent = options.cgroup_parent.empty() ? "/sampan" : options.cgroup_parent;
  return parent + "/" + options.id;
}

void check_preserved(int count) {
  if (count < 0) throw base::Error(base::ErrorKind::kInvalid, "preserved descriptors: below 0");
  for (int fd = 3; fd < 3 + count; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    throw base::Error(base::ErrorKind::kInvalid,
                      "descriptor " + std::to_string(fd) + " is to be preserved and is not open");
  }
}

void write_mappings(const oci::RuntimeSpec& spec, pid_t pid) {
  const auto& uids = spec.linux_.uid_mappings;
  const auto& gids = spec.linux_.gid_mappings;
  const bool is_free = may_map_anything();
  if (is_free || is_own(uids, geteuid())) {
    write_proc(pid, "uid_map", render_id_map(uids));
  } else {
    run_id_mapper("newuidmap", pid, uids);
  }
  if (!is_free && is_own(gids, getegid())) {
    write_proc(pid, "setgroups", "deny");  // else the kernel would refuse the map
    write_proc(pid, "gid_map", render_id_map(gids));
  } else if (is_free) {
    write_proc(pid, "gid_map", render_id_map(gids));
  } else {
    run_id_mapper("newgidmap", pid, gids);
  }
}

void write_oom_score(pid_t pid, int score) {
  try {
    write_proc(pid, "oom_score_adj", std::to_string(score));
  } catch (const base::Error& error) {
    if (error.errno_value() != EACCES && error.errno_value() != EPERM) throw;
    base::trace("runtime", "oom_score_adj stays as it is: only CAP_SYS_RESOURCE may lower it");
  }
}

void send_console(int socket_fd, int master_fd) {
  base::check(base::send_with_descriptor(socket_fd, "/dev/ptmx", master_fd), "console socket");
}

}  // namespace runtime
