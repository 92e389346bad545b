#include "engine/image/archive_files.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "storage/unpack/decompress.h"
#include "storage/unpack/member_index.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlockBytes = 1U << 20U;
constexpr int kMaxLinks = 8;

[[noreturn]] void throw_invalid(std::string_view name, const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, base::printable(name) + ": " + text);
}

// pread(2) of up to `size` bytes; fewer only at the end of the file.
std::size_t read_at(int fd, char* buffer, std::size_t size, std::uint64_t offset) {
  std::size_t filled = 0;
  while (filled < size) {
    const ssize_t count =
        pread(fd, buffer + filled, size - filled, static_cast<off_t>(offset + filled));
    if (count < 0 && errno == EINTR) continue;
    base::check(count, "read the archive");
    if (count == 0) break;
    filled += static_cast<std::size_t>(count);
  }
  return filled;
}

// "../b/layer.tar" of "a/layer.tar" is "b/layer.tar"; empty where it leads out of the archive.
std::string resolve_link(const std::string& name, const std::string& target) {
  if (target.starts_with('/')) return {};
  std::vector<std::string> parts;
  const fs::path joined = fs::path(name).parent_path() / target;
  for (const fs::path& part : joined) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part.string());
    } else if (parts.empty()) {
      return {};
    } else {
      parts.pop_back();
    }
  }
  std::string path;
  for (const std::string& part : parts) path += (path.empty() ? "" : "/") + part;
  return path;
}

}  // namespace

ArchiveFile ArchiveFile::whole(base::UniqueFd fd) {
  struct stat info = {};
  base::check(fstat(fd.get(), &info), "fstat");
  const int borrowed = fd.get();
  return {borrowed, std::move(fd), 0, static_cast<std::uint64_t>(info.st_size)};
}

std::string ArchiveFile::read(std::size_t limit) const {
  if (size_ > limit) {
    throw base::Error(base::ErrorKind::kInvalid, "larger than " + std::to_string(limit) + " bytes");
  }
  return head(static_cast<std::size_t>(size_));
}

std::string ArchiveFile::head(std::size_t bytes) const {
  std::string text(std::min<std::uint64_t>(bytes, size_), '\0');
  text.resize(read_at(fd_, text.data(), text.size(), offset_));
  return text;
}

std::string_view ArchiveFile::read_some(std::uint64_t at, std::span<char> buffer) const {
  if (at >= size_) return {};
  const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), size_ - at);
  return {buffer.data(), read_at(fd_, buffer.data(), wanted, offset_ + at)};
}

void ArchiveFile::for_each_block(const std::function<void(std::string_view)>& action) const {
  std::vector<char> buffer(std::min<std::uint64_t>(kBlockBytes, std::max<std::uint64_t>(size_, 1)));
  for (std::uint64_t at = 0; at < size_;) {
    const std::size_t wanted = std::min<std::uint64_t>(buffer.size(), size_ - at);
    if (read_at(fd_, buffer.data(), wanted, offset_ + at) != wanted) {
      throw base::Error(base::ErrorKind::kCorrupt, "the archive became shorter while it was read");
    }
    action({buffer.data(), wanted});
    at += wanted;
  }
}

struct ArchiveFiles::State {
  base::UniqueFd fd;
  std::optional<storage::MemberIndex> index;  // none: `fd` is a directory

  std::optional<ArchiveFile> find_member(const std::string& normal, Links links) const {
    const storage::ArchiveMember* member = index->find(normal);
    std::string name = normal;
    for (int hops = 0; links == Links::kFollowed && member != nullptr &&
                       member->type == storage::ArchiveMember::Type::kSymlink;) {
      if (++hops > kMaxLinks) throw_invalid(normal, "too many symbolic links");
      name = resolve_link(name, member->link_target);
      if (name.empty()) throw_invalid(normal, "a link that leads out of the archive");
      member = index->find(name);
    }
    if (member == nullptr) return std::nullopt;
    if (member->is_duplicate) throw_invalid(name, "is in the archive more than once");
    if (member->type != storage::ArchiveMember::Type::kFile) {
      throw_invalid(name, "is not a regular file");
    }
    return ArchiveFile(fd.get(), {}, member->offset, member->size);
  }

  // A user may have made his layout of links; those that leave the directory stay in it.
  std::optional<ArchiveFile> find_below(const std::string& normal) const {
    auto found = base::find_in_root(fd.get(), normal, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    if (!found) return std::nullopt;
    struct stat info = {};
    base::check(fstat(found->get(), &info), normal);
    if (!S_ISREG(info.st_mode)) throw_invalid(normal, "is not a regular file");
    const int borrowed = found->get();
    return ArchiveFile(borrowed, std::move(*found), 0, static_cast<std::uint64_t>(info.st_size));
  }
};

ArchiveFiles::ArchiveFiles(std::unique_ptr<State> state) : state_(std::move(state)) {}
ArchiveFiles::ArchiveFiles(ArchiveFiles&&) noexcept = default;
ArchiveFiles::~ArchiveFiles() = default;

ArchiveFiles ArchiveFiles::of_tar(base::UniqueFd fd) {
  auto state = std::make_unique<State>();
  state->index.emplace(fd.get());
  state->fd = std::move(fd);
  return ArchiveFiles(std::move(state));
}

ArchiveFiles ArchiveFiles::of_directory(const fs::path& path) {
  auto state = std::make_unique<State>();
  state->fd = base::open_file(path, O_RDONLY | O_DIRECTORY);
  return ArchiveFiles(std::move(state));
}

std::optional<ArchiveFile> ArchiveFiles::find(std::string_view name, Links links) const {
  const std::string normal = storage::normal_name(name);
  if (normal.empty() || normal.find('\0') != std::string::npos) {
    throw_invalid(name, "leads out of the archive");
  }
  return state_->index ? state_->find_member(normal, links) : state_->find_below(normal);
}

ArchiveFile ArchiveFiles::load(std::string_view name, Links links) const {
  auto found = find(name, links);
  if (!found) {
    throw base::Error(base::ErrorKind::kInvalid, base::printable(name) + ": not in the archive");
  }
  return std::move(*found);
}

base::UniqueFd make_nameless_file(const fs::path& folder) {
  base::UniqueFd fd(open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (fd) return fd;
  if (errno != EOPNOTSUPP && errno != EISDIR) base::throw_errno(folder.string());
  std::string path = (folder / "archive-XXXXXX").string();
  fd.reset(base::check(mkostemp(path.data(), O_CLOEXEC), path));
  unlink(path.c_str());
  return fd;
}

base::UniqueFd make_seekable(int fd, const fs::path& folder) {
  struct stat info = {};
  base::check(fstat(fd, &info), "fstat");
  if (S_ISREG(info.st_mode) && lseek(fd, 0, SEEK_CUR) == 0) {
    char head[16];
    const std::size_t size = read_at(fd, head, sizeof head, 0);
    if (!storage::is_compressed({head, size})) {
      return base::UniqueFd(base::check(fcntl(fd, F_DUPFD_CLOEXEC, 3), "dup"));
    }
  }
  base::UniqueFd target = make_nameless_file(folder);
  std::vector<char> buffer(kBlockBytes);
  storage::decompress(
      [&]() -> std::string_view {
        ssize_t count = 0;
        do {
          count = ::read(fd, buffer.data(), buffer.size());
        } while (count < 0 && errno == EINTR);
        base::check(count, "read the archive");
        return {buffer.data(), static_cast<std::size_t>(count)};
      },
      [&](std::string_view bytes) { base::write_all(target.get(), bytes); });
  return target;
}

}  // namespace engine
