// PartialBlob: the beginning of a blob on disk, where this download, or the next one, goes on.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>

#include "base/unique_fd.h"

namespace storage {

// Ours alone while it exists: the file is locked (flock(2)). Its bytes are worth nothing until the
// whole blob's digest has been verified. It only saves traffic, so where it can't be written (a
// full disk) it is given up and nobody is told.
class PartialBlob {
 public:
  // Creates the file where it is missing. nullopt where another process has it, or where there is
  // no room for it.
  static std::optional<PartialBlob> open(const std::filesystem::path& path);

  std::uint64_t size() const { return size_; }
  int fd() const { return fd_.get(); }
  void append(std::string_view bytes) noexcept;
  void restart() noexcept;  // empty again
  void remove() noexcept;
  bool is_given_up() const { return !fd_; }
  const std::filesystem::path& path() const { return path_; }

 private:
  PartialBlob(base::UniqueFd fd, std::filesystem::path path, std::uint64_t size);

  base::UniqueFd fd_;
  std::filesystem::path path_;
  std::uint64_t size_ = 0;
};

// Up to the buffer's size from an open file; fewer only at its end. Throws.
std::size_t read_at(int fd, std::uint64_t offset, std::span<char> buffer);

}  // namespace storage
