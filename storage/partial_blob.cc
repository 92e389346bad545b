#include "storage/partial_blob.h"

#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "storage/locks.h"

namespace storage {

std::size_t read_at(int fd, std::uint64_t offset, std::span<char> buffer) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t count =
        pread(fd, buffer.data() + done, buffer.size() - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (base::check(count, "read blob") == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

PartialBlob::PartialBlob(base::UniqueFd fd, std::filesystem::path path, std::uint64_t size)
    : fd_(std::move(fd)), path_(std::move(path)), size_(size) {}

std::optional<PartialBlob> PartialBlob::open(const std::filesystem::path& path) {
  try {
    auto fd = lock_file(path, LockKind::kExclusive, LockWait::kNo);
    if (!fd) return std::nullopt;
    struct stat info = {};
    base::check(fstat(fd->get(), &info), path.string());
    return PartialBlob(std::move(*fd), path, static_cast<std::uint64_t>(info.st_size));
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kNoSpace) throw;
    return std::nullopt;
  }
}

void PartialBlob::append(std::string_view bytes) noexcept {
  while (fd_ && !bytes.empty()) {
    const ssize_t count = pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(size_));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return remove();
    size_ += static_cast<std::uint64_t>(count);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void PartialBlob::restart() noexcept {
  if (!fd_) return;
  size_ = 0;
  if (ftruncate(fd_.get(), 0) != 0) remove();
}

void PartialBlob::remove() noexcept {
  if (!fd_) return;
  unlink(path_.c_str());
  fd_.reset();
  size_ = 0;
}

}  // namespace storage
