#include "registry/file_body.h"

#include <cerrno>
#include <unistd.h>

#include "base/error.h"

namespace registry {

std::size_t FileBody::read(std::uint64_t offset, char* buffer, std::size_t size) {
  for (;;) {
    const ssize_t count = pread(fd_, buffer, size, static_cast<off_t>(offset));
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) base::throw_errno("read blob");
  }
}

}  // namespace registry
