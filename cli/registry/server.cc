#include "cli/registry/server.h"

#include <cerrno>
#include <sys/socket.h>
#include <utility>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "cli/registry/calls.h"

namespace cli {

void Server::run() {
  for (;;) {
    char byte = 0;
    base::UniqueFd call;
    const ssize_t count = base::receive_with_descriptor(control_, {&byte, 1}, call);
    if (count == 0 || (count < 0 && errno == ECONNRESET)) return;
    base::check(count, "recvmsg");
    if (call) add(std::move(call));
  }
}

void Server::add(base::UniqueFd call) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(call));
  // How many calls there are at a time is for those to decide who make them.
  if (idle_ < waiting_.size()) threads_.emplace_back([this] { work(); });
  came_.notify_one();
}

void Server::work() {
  for (;;) {
    base::UniqueFd call;
    {
      std::unique_lock lock(mutex_);
      ++idle_;
      came_.wait(lock, [this] { return !waiting_.empty(); });
      --idle_;
      call = std::move(waiting_.front());
      waiting_.pop_front();
    }
    serve_call(client_, std::move(call));
  }
}

}  // namespace cli
