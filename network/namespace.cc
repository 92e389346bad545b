#include "network/namespace.h"

#include <cstdlib>
#include <fcntl.h>
#include <sched.h>

#include "base/error.h"
#include "base/files.h"

namespace network {

InsideNetwork::InsideNetwork(int netns_fd)
    : home_(base::open_file("/proc/thread-self/ns/net", O_RDONLY)) {
  base::check(setns(netns_fd, CLONE_NEWNET), "enter the container's network namespace");
}

InsideNetwork::~InsideNetwork() {
  if (setns(home_.get(), CLONE_NEWNET) != 0) std::abort();
}

}  // namespace network
