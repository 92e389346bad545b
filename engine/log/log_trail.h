// LogTrail: opens the files of a growing log as they come, in a thread of its own, for a reader who
// may be as slow as they like.
#pragma once

#include <cstdint>
#include <deque>
#include <filesystem>
#include <mutex>
#include <sys/types.h>
#include <thread>

#include "base/unique_fd.h"

namespace engine {

namespace fs = std::filesystem;

// Whoever has a file open loses none of it, whatever becomes of its name. A lock (flock(2)) on the
// log's directory tells its writer that somebody follows it, and one on each file that they have
// it: LogFile waits for the latter before it rotates the file away. That is the thread's work, so
// a reader whose own output is taken by nobody keeps neither the container waiting nor loses lines.
class LogTrail {
 public:
  // What is rotated away takes space until it is read: at most as much as stays free.
  struct Limits {
    std::size_t files = 0;              // 0: as many as may be open
    std::uint64_t free_times_held = 1;  // held * this <= free
  };
  struct Next {
    base::UniqueFd file;           // empty: there is none yet
    std::uint64_t lost_bytes = 0;  // before it, given up for want of space
  };

  // The writer takes notice from here on.
  LogTrail(fs::path path, Limits limits);
  LogTrail(const LogTrail&) = delete;
  LogTrail& operator=(const LogTrail&) = delete;
  ~LogTrail();

  // Whatever comes after that file, the newest that the caller has and keeps open until it has the
  // next one; -1: from the oldest that there is.
  void start(int newest);
  Next take_next();

 private:
  struct File {
    base::UniqueFd fd;
    std::uint64_t size = 0;  // once it has been rotated away
  };
  void run(std::stop_token stop);
  void find_newer();      // the mutex is held
  bool try_find_newer();  // false: they were rotated meanwhile
  void add(base::UniqueFd fd);
  void give_up_oldest();
  bool holds_too_much() const;

  fs::path path_;
  Limits limits_;
  base::UniqueFd folder_, watch_, wake_;
  std::mutex mutex_;         // guards all below
  std::deque<File> files_;   // oldest first
  dev_t newest_device_ = 0;  // of the newest that was ever found: somebody has it open, so its
  ino_t newest_inode_ = 0;   // number is not another's; 0: none
  std::uint64_t held_ = 0;   // bytes of those in files_ that have been rotated away
  std::uint64_t lost_ = 0;
  std::jthread thread_;
};

// Waits for a moment: LogFile holds such a lock only to see whether somebody else does.
void lock_shared(int fd);

}  // namespace engine
