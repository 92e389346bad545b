// Descriptor passing: bytes and one descriptor through a Unix socket (SCM_RIGHTS of unix(7)).
#pragma once

#include <span>
#include <string_view>
#include <sys/types.h>

#include "base/unique_fd.h"

namespace base {

// As sendmsg(2), and the other end gets a copy of `fd` with the first of the bytes, of which there
// must be one. Goes on after EINTR and raises no SIGPIPE. -1 and errno where it fails.
ssize_t send_with_descriptor(int socket_fd, std::string_view bytes, int fd) noexcept;

// As recvmsg(2) with `flags`, close-on-exec, going on after EINTR. `fd` is what came along, or
// nothing; of several the first, and the others are closed.
ssize_t receive_with_descriptor(int socket_fd, std::span<char> buffer, UniqueFd& fd,
                                int flags = 0) noexcept;

}  // namespace base
