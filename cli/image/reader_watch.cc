#include "cli/image/reader_watch.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/error.h"

namespace cli {
namespace {

void watch(int fd, int stop) {
  for (;;) {
    std::array<pollfd, 2> entries = {{{fd, 0, 0}, {stop, POLLIN, 0}}};
    if (poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) return;
    if (entries[1].revents != 0) return;
    // A pipe without readers shows POLLERR, a socket whose other end is closed POLLHUP; see
    // pipe(7).
    if ((entries[0].revents & (POLLERR | POLLHUP)) != 0) _exit(1);
  }
}

}  // namespace

ReaderWatch::ReaderWatch(int fd)
    : stop_(base::check(eventfd(0, EFD_CLOEXEC), "eventfd")),
      thread_([fd, stop = stop_.get()] { watch(fd, stop); }) {}

ReaderWatch::~ReaderWatch() {
  const std::uint64_t one = 1;
  const ssize_t count = write(stop_.get(), &one, sizeof one);
  static_cast<void>(count);  // an eventfd takes it
  thread_.join();
}

}  // namespace cli
