// LogCompressor: a process beside the monitor that compresses a rotated log file.
#pragma once

#include <filesystem>
#include <sys/types.h>

namespace engine {

class LogCompressor {
 public:
  explicit LogCompressor(std::filesystem::path path) : path_(std::move(path)) {}
  LogCompressor(const LogCompressor&) = delete;
  LogCompressor& operator=(const LogCompressor&) = delete;
  ~LogCompressor();  // waits for it: it is done soon, and somebody has to put the file in place

  bool is_busy() const { return pid_ > 0; }
  void start(int file, int number);  // of "<path>.<number>"; nothing where it can't
  void settle();                     // puts a file in place that is ready by now
  void count_rotation() { ++number_; }

 private:
  std::filesystem::path partial() const;
  void put_in_place(bool succeeded);

  std::filesystem::path path_;
  pid_t pid_ = -1;
  int number_ = 0;  // of the file that is being compressed, as it is called by now
};

}  // namespace engine
