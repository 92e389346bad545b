// InsideNetwork: the calling thread stands in another network namespace while one of these lives.
#pragma once

#include "base/unique_fd.h"

namespace network {

class InsideNetwork {
 public:
  explicit InsideNetwork(int netns_fd);
  InsideNetwork(const InsideNetwork&) = delete;
  InsideNetwork& operator=(const InsideNetwork&) = delete;
  // Ends the program where the way back is barred: going on in a container's network as if it were
  // the host's would be worse.
  ~InsideNetwork();

 private:
  base::UniqueFd home_;
};

}  // namespace network
