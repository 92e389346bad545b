// Server: serves the calls of one RemoteClient, each on a thread, until that closes its socket.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "base/unique_fd.h"
#include "registry/client.h"

namespace cli {

class Server {
 public:
  // `control`: the SOCK_SEQPACKET socket on which calls come as descriptors of stream sockets.
  Server(int control, registry::Client& client) : control_(control), client_(client) {}

  // Returns when the other end is closed. Calls may still be under way then: the process should
  // end.
  void run();

 private:
  void add(base::UniqueFd call);
  void work();

  const int control_;
  registry::Client& client_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<base::UniqueFd> waiting_;
  std::size_t idle_ = 0;
  std::vector<std::thread> threads_;
};

}  // namespace cli
