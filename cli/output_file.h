// OutputFile: what a command writes with -o: whole at its name, or not there at all.
#pragma once

#include <filesystem>
#include <string>

#include "base/unique_fd.h"

namespace cli {

class OutputFile {
 public:
  // Empty: standard output, which must be no terminal (docker's words). What is there and is no
  // regular file (a FIFO, /dev/null) is written into; else a file beside it takes the name by
  // finish(). Throws.
  explicit OutputFile(const std::string& path);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();  // without finish(): nothing is left

  int fd() const { return fd_; }
  void finish();

 private:
  std::filesystem::path path_, staged_;
  base::UniqueFd owned_;
  int fd_ = -1;
};

}  // namespace cli
