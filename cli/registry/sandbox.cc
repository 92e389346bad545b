#include "cli/registry/sandbox.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <string>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/trace.h"
#include "base/unique_fd.h"
#include "cli/registry/system_calls.h"

namespace cli {
namespace {

constexpr uid_t kNobody = 65534;

void limit(int resource, rlim_t value) {
  const rlimit limits = {.rlim_cur = value, .rlim_max = value};
  base::check(setrlimit(static_cast<__rlimit_resource_t>(resource), &limits), "setrlimit");
}

// In a user namespace that has no such id we stay who we are, whose rights end with the
// capabilities that are dropped next.
void become_nobody() {
  if (geteuid() != 0) return;
  for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    static_cast<void>(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0));
  }
  if (setgroups(0, nullptr) != 0 && errno != EPERM) base::throw_errno("setgroups");
  if (setresgid(kNobody, kNobody, kNobody) != 0 && errno != EINVAL) base::throw_errno("setresgid");
  if (setresuid(kNobody, kNobody, kNobody) != 0 && errno != EINVAL) base::throw_errno("setresuid");
}

void drop_capabilities() {
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  const std::array<__user_cap_data_struct, 2> none = {};
  base::check(syscall(SYS_capset, &header, none.data()), "capset");
}

constexpr std::uint64_t kRead = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
// Everything that the first version of Landlock knows about files (landlock(7)).
constexpr std::uint64_t kAllRights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1U) - 1U;

void allow_reading(int ruleset, const char* path) {
  const base::UniqueFd fd(open(path, O_PATH | O_CLOEXEC));
  if (!fd) return;  // nothing to be read there
  struct stat info = {};
  if (fstat(fd.get(), &info) != 0) return;
  const bool is_directory = S_ISDIR(info.st_mode);
  const landlock_path_beneath_attr rule = {
      .allowed_access = is_directory ? kRead : std::uint64_t{LANDLOCK_ACCESS_FS_READ_FILE},
      .parent_fd = fd.get()};
  base::check(syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0U),
              "landlock_add_rule");
}

// Names and addresses of hosts, certificates, libraries of the resolver; not the store, nor
// anybody's home.
void hide_files(const SandboxOptions& options) {
  const landlock_ruleset_attr attributes = {.handled_access_fs = kAllRights};
  const long fd = syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0U);
  if (fd < 0) {
    base::trace("registry", "no Landlock in this kernel: files are guarded by their modes alone");
    return;
  }
  const base::UniqueFd ruleset(static_cast<int>(fd));
  for (const char* path :
       {"/etc", "/usr", "/lib", "/lib64", "/run/systemd/resolve", "/run/resolvconf",
        "/run/NetworkManager", "/var/lib/ca-certificates", "/dev/urandom", "/dev/null"}) {
    allow_reading(ruleset.get(), path);
  }
  if (!options.certificates.empty()) allow_reading(ruleset.get(), options.certificates.c_str());
  for (const char* name : {"SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    if (const char* path = std::getenv(name)) allow_reading(ruleset.get(), path);
  }
  base::check(syscall(SYS_landlock_restrict_self, ruleset.get(), 0U), "landlock_restrict_self");
}

}  // namespace

void enter_sandbox(const SandboxOptions& options) {
  base::check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  hide_files(options);
  become_nobody();
  drop_capabilities();
  limit(RLIMIT_FSIZE, 0);
  limit(RLIMIT_CORE, 0);
  base::check(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0), "not dumpable");
  restrict_system_calls();
}

}  // namespace cli
