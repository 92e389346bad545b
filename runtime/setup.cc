#include "runtime/setup.h"

#include <cerrno>
#include <fcntl.h>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
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

}  // namespace

std::optional<SeccompProgram> load_filter(const oci::RuntimeSpec& spec, const fs::path& cache_dir) {
  if (!spec.linux_.seccomp) return std::nullopt;
  const base::TraceStep step("runtime", "compile the seccomp filter");
  return cache_dir.empty() ? compile_seccomp(*spec.linux_.seccomp)
                           : load_or_compile_seccomp(*spec.linux_.seccomp, cache_dir);
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
  write_proc(pid, "uid_map", render_id_map(spec.linux_.uid_mappings));
  write_proc(pid, "gid_map", render_id_map(spec.linux_.gid_mappings));
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
