// BackgroundClose: lets a kernel thread release a descriptor whose last close would wait.
#pragma once

#include "base/unique_fd.h"

namespace network {

// Releasing an nfnetlink socket waits for the destruction of everything that anybody deleted from
// nftables in this namespace just before: an RCU grace period, 5 to 20 ms, even for a process that
// only looked. (nft_rcv_nl_event() in the kernel, on NETLINK_URELEASE.)
//
// So a second reference to the socket is put in flight on a unix socket, together with that
// socket's own peer. The caller closes its descriptor, then this object closes both ends: nobody
// can receive the message any more, and the kernel's collector of such cycles drops it (unix(7),
// SCM_RIGHTS), in a kernel thread since Linux 6.10. Before that it ran inside the last close: no
// gain, no harm.
class BackgroundClose {
 public:
  explicit BackgroundClose(int fd) noexcept;  // `fd` stays the caller's

 private:
  base::UniqueFd sender_;  // closed last, which is what wakes the collector
  base::UniqueFd receiver_;
};

}  // namespace network
