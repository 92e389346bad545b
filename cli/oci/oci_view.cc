#include "cli/oci/oci_view.h"

#include <charconv>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <sys/auxv.h>
#include <unistd.h>

#include "runtime/setup.h"

namespace cli_oci {
namespace {

int view_fd = -1;

}  // namespace

void find_view() {
  // As execveat(2) names a program that it gets as a descriptor.
  constexpr std::string_view kFolder = "/dev/fd/";
  const auto* const name =
      reinterpret_cast<const char*>(getauxval(AT_EXECFN));  // NOLINT: a pointer
  if (name == nullptr || std::strncmp(name, kFolder.data(), kFolder.size()) != 0) return;
  const std::string_view digits = name + kFolder.size();
  int fd = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), fd);
  if (error != std::errc() || end != digits.data() + digits.size()) return;
  // Somebody else's program in a descriptor is no O_PATH one.
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_PATH) == 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) return;
  view_fd = fd;
}

void close_view() {
  if (view_fd >= 0) close(view_fd);
  view_fd = -1;
}

void respect_preserved(int count) {
  if (count > 0) close_view();
  runtime::check_preserved(count);
}

}  // namespace cli_oci
