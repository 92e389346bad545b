#include "engine/log/log_trail.h"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "engine/log/log_file.h"

namespace engine {
namespace {

constexpr int kTrailAttempts = 100;
constexpr std::size_t kOtherFiles = 64;  // that we may have open besides

// How many files may be open: as many as the hard limit lets.
std::size_t raise_file_limit() {
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0) return kOtherFiles;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  return std::max<std::size_t>(files.rlim_max, 2 * kOtherFiles) - kOtherFiles;
}

void discard_events(int watch) {
  char events[4096];
  while (read(watch, events, sizeof events) > 0) {
  }
}

}  // namespace

void lock_shared(int fd) {
  while (flock(fd, LOCK_SH) != 0 && errno == EINTR) {
  }
}

LogTrail::LogTrail(fs::path path, Limits limits)
    : path_(std::move(path)),
      limits_(limits),
      folder_(base::open_file(path_.parent_path(), O_RDONLY | O_DIRECTORY)),
      watch_(base::check(inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1")),
      wake_(base::check(eventfd(0, EFD_CLOEXEC), "eventfd")) {
  const std::size_t most = raise_file_limit();
  if (limits_.files == 0) limits_.files = most;
  inotify_add_watch(watch_.get(), path_.parent_path().c_str(), IN_CREATE | IN_MOVED_TO);
  lock_shared(folder_.get());
}

LogTrail::~LogTrail() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  const std::uint64_t one = 1;
  base::write_all(wake_.get(), {reinterpret_cast<const char*>(&one), sizeof one});
}

void LogTrail::start(int newest) {
  struct stat info = {};
  if (newest >= 0) {
    base::check(fstat(newest, &info), "fstat");
    lock_shared(newest);
    newest_device_ = info.st_dev;
    newest_inode_ = info.st_ino;
  }
  find_newer();
  thread_ = std::jthread([this](std::stop_token stop) { run(std::move(stop)); });
}

void LogTrail::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    pollfd items[2] = {{.fd = watch_.get(), .events = POLLIN, .revents = 0},
                       {.fd = wake_.get(), .events = POLLIN, .revents = 0}};
    if (poll(items, 2, -1) < 0 && errno != EINTR) return;
    discard_events(watch_.get());
    const std::lock_guard lock(mutex_);
    find_newer();
  }
}

LogTrail::Next LogTrail::take_next() {
  const std::lock_guard lock(mutex_);
  if (files_.empty()) find_newer();
  if (files_.empty()) return {};
  Next next{.file = std::move(files_.front().fd), .lost_bytes = std::exchange(lost_, 0)};
  held_ -= files_.front().size;
  files_.pop_front();
  return next;
}

void LogTrail::find_newer() {
  for (int attempt = 0; attempt < kTrailAttempts && !try_find_newer(); ++attempt) {
  }
}

bool LogTrail::try_find_newer() {
  std::vector<base::UniqueFd> found;
  struct stat first = {};
  for (int number = 0;; ++number) {
    base::UniqueFd fd(open(rotated_log(path_, number).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    struct stat info = {};
    if (!fd || fstat(fd.get(), &info) != 0) break;
    if (info.st_dev == newest_device_ && info.st_ino == newest_inode_) break;
    if (number == 0) first = info;
    found.push_back(std::move(fd));
  }
  if (found.empty()) return true;
  struct stat now = {};
  if (stat(path_.c_str(), &now) != 0 || now.st_dev != first.st_dev || now.st_ino != first.st_ino) {
    return false;
  }
  for (auto fd = found.rbegin(); fd != found.rend(); ++fd) add(std::move(*fd));
  newest_device_ = first.st_dev;
  newest_inode_ = first.st_ino;
  return true;
}

void LogTrail::add(base::UniqueFd fd) {
  struct stat info = {};
  if (!files_.empty() && fstat(files_.back().fd.get(), &info) == 0) {
    files_.back().size = static_cast<std::uint64_t>(info.st_size);
    held_ += files_.back().size;
  }
  lock_shared(fd.get());
  files_.push_back({.fd = std::move(fd)});
  while (files_.size() > 1 && holds_too_much()) give_up_oldest();
}

bool LogTrail::holds_too_much() const {
  if (files_.size() > limits_.files) return true;
  struct statvfs disk = {};
  if (held_ == 0 || fstatvfs(folder_.get(), &disk) != 0) return false;
  return std::uint64_t{disk.f_bavail} * disk.f_frsize < held_ * limits_.free_times_held;
}

void LogTrail::give_up_oldest() {
  lost_ += files_.front().size;
  held_ -= files_.front().size;
  files_.pop_front();
}

}  // namespace engine
