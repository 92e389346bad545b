#include "engine/start_hint.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <string_view>
#include <sys/statvfs.h>

namespace engine {
namespace {

// The innermost mount that `path` lies in; null for the root's own files.
const oci::Mount* mount_of(const oci::RuntimeSpec& spec, const std::string& path) {
  const oci::Mount* found = nullptr;
  for (const oci::Mount& mount : spec.mounts) {
    const std::string& target = mount.destination;
    const bool inside = path == target || (path.starts_with(target) &&
                                           (target.ends_with('/') || path[target.size()] == '/'));
    if (inside && (found == nullptr || target.size() >= found->destination.size())) found = &mount;
  }
  return found;
}

bool refuses_programs(const oci::Mount& mount) {
  const auto last = std::find_if(
      mount.options.rbegin(), mount.options.rend(),
      [](const std::string& option) { return option == "noexec" || option == "exec"; });
  if (last != mount.options.rend()) return *last == "noexec";
  // A bind has what its file system was mounted with.
  struct statvfs info = {};
  return mount.source.starts_with('/') && statvfs(mount.source.c_str(), &info) == 0 &&
         (info.f_flag & ST_NOEXEC) != 0;
}

}  // namespace

base::Error explain_refusal(const oci::RuntimeSpec& spec, const base::Error& error) {
  const bool refused =
      error.kind() == base::ErrorKind::kCommandNotRunnable && error.errno_value() == EACCES;
  if (!refused || !spec.process || spec.process->args.empty()) return error;
  std::string program = spec.process->args.front();
  if (program.find('/') == std::string::npos) return error;  // it was looked for in many places
  if (program[0] != '/') program = spec.process->cwd + "/" + program;
  program = std::filesystem::path(program).lexically_normal().string();
  const oci::Mount* mount = mount_of(spec, program);
  const std::string why =
      mount != nullptr && refuses_programs(*mount)
          ? "what is mounted on " + mount->destination + " has the option noexec"
          : "the file is not executable for this user (chmod +x)";
  return {error.kind(), std::string(error.what()) + ": " + why, error.errno_value()};
}

}  // namespace engine
