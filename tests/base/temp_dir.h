// TempDir: a directory of a test's own, in memory where there is a tmpfs, removed with the test.
#pragma once

#include <filesystem>
#include <string>

#include "base/files.h"

class TempDir {
 public:
  TempDir()
      : path_((std::filesystem::exists("/dev/shm") ? std::filesystem::path("/dev/shm")
                                                   : std::filesystem::temp_directory_path()) /
              ("sampan-base-" + base::random_hex(8))) {
    base::make_dirs(path_);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  ~TempDir() { base::remove_tree_quietly(path_); }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};
