// ReaderWatch: ends the process when nobody reads its events any more, even while it has none to
// write.
#pragma once

#include <thread>

#include "base/unique_fd.h"

namespace cli {

class ReaderWatch {
 public:
  explicit ReaderWatch(int fd);
  ReaderWatch(const ReaderWatch&) = delete;
  ReaderWatch& operator=(const ReaderWatch&) = delete;
  ~ReaderWatch();

 private:
  base::UniqueFd stop_;  // eventfd(2)
  std::thread thread_;
};

}  // namespace cli
