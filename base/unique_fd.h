// UniqueFd: owns one file descriptor and closes it. An int parameter lends a descriptor, a UniqueFd
// gives it.
#pragma once

#include <unistd.h>
#include <utility>

namespace base {

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  int get() const { return fd_; }                                 // lends
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }  // gives away
  explicit operator bool() const { return fd_ >= 0; }
  void reset(int fd = -1) {
    if (int old = std::exchange(fd_, fd); old >= 0) ::close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace base
