#include "cli/image/privileges.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"

namespace cli {
namespace {

// Owners, modes, devices and file capabilities of an image's files; SYS_ADMIN for the overlay's
// trusted.* attributes (xattr(7)); DAC_* to work below directories that images close to everybody.
constexpr int kKept[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER,
                         CAP_FSETID, CAP_MKNOD,        CAP_SETFCAP,         CAP_SYS_ADMIN};

std::uint64_t kept_bits() {
  std::uint64_t bits = 0;
  for (const int capability : kKept) bits |= 1ULL << static_cast<unsigned>(capability);
  return bits;
}

}  // namespace

void drop_privileges() {
  base::check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> data = {};
  base::check(syscall(SYS_capget, &header, data.data()), "capget");
  const std::uint64_t kept = kept_bits();
  if ((data[0].effective & (1U << CAP_SETPCAP)) != 0) {
    for (int capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
      if ((kept >> static_cast<unsigned>(capability) & 1U) != 0) continue;
      base::check(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "drop from the bounding set");
    }
  }
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (std::size_t word = 0; word < data.size(); ++word) {
    const auto mask = static_cast<std::uint32_t>(kept >> (32 * word));
    data[word].permitted &= mask;
    data[word].effective &= mask;
    data[word].inheritable = 0;
  }
  base::check(syscall(SYS_capset, &header, data.data()), "capset");
}

void raise_file_limit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);  // a refusal leaves what was there
}

}  // namespace cli
