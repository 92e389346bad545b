#include "storage/pack/diff_tar.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/trace.h"

namespace storage {
namespace {

constexpr char kWhiteoutPrefix[] = ".wh.";
constexpr char kOpaqueName[] = ".wh..wh..opq";
constexpr std::size_t kPiece = 256U << 10U;
// What procfs and sysfs say is 0 bytes long may have some; a stream needs the size first.
constexpr std::size_t kMaxPseudoFile = 16U << 20U;
constexpr std::size_t kLongestPath = 4000;  // below PATH_MAX

base::UniqueFd open_below(int dir_fd, const std::string& path, int flags) {
  open_how how = {};
  how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags) | O_CLOEXEC | O_NOFOLLOW);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
  return base::UniqueFd(
      static_cast<int>(syscall(SYS_openat2, dir_fd, path.c_str(), &how, sizeof how)));
}

// The directory `path` ("etc/ssl", "" for the root itself) below `root_fd`, in pieces that the
// kernel takes. An empty descriptor where it is gone.
base::UniqueFd open_parent(int root_fd, std::string path) {
  base::UniqueFd at = base::open_at(root_fd, ".", O_PATH | O_DIRECTORY);
  while (at && !path.empty()) {
    std::size_t end = path.size();
    if (end > kLongestPath) end = path.rfind('/', kLongestPath);
    if (end == std::string::npos) return {};
    at = open_below(at.get(), path.substr(0, end), O_PATH | O_DIRECTORY);
    path.erase(0, end + 1);
  }
  return at;
}

bool is_gone(int errno_value) {
  return errno_value == ENOENT || errno_value == ENOTDIR || errno_value == ELOOP;
}

TarEntry::Type type_of(mode_t mode) {
  if (S_ISDIR(mode)) return TarEntry::Type::kDirectory;
  if (S_ISLNK(mode)) return TarEntry::Type::kSymlink;
  if (S_ISCHR(mode)) return TarEntry::Type::kCharDevice;
  if (S_ISBLK(mode)) return TarEntry::Type::kBlockDevice;
  if (S_ISFIFO(mode)) return TarEntry::Type::kFifo;
  return TarEntry::Type::kFile;
}

Attributes plain_attributes(const struct stat& info) {
  return {.mode = info.st_mode & 07777U,
          .uid = info.st_uid,
          .gid = info.st_gid,
          .atime = info.st_atim,
          .mtime = info.st_mtim,
          .xattrs = {}};
}

// The pieces with data; empty where that is the whole file or the file system can't say.
std::vector<TarRegion> find_regions(int fd, std::uint64_t size) {
  std::vector<TarRegion> regions;
  const auto end = static_cast<off_t>(size);
  off_t at = 0;
  while (at < end) {
    const off_t data = lseek(fd, at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) return {};
    if (data < 0 || data >= end) break;
    const off_t hole = lseek(fd, data, SEEK_HOLE);
    at = hole < 0 ? end : std::min(hole, end);
    regions.push_back({static_cast<std::uint64_t>(data), static_cast<std::uint64_t>(at - data)});
  }
  if (regions.size() == 1 && regions[0].length == size) return {};
  // A file that is one hole: an empty region at its end says so.
  if (regions.empty() && size > 0) regions.push_back({size, 0});
  return regions;
}

class ZeroedPiece {
 public:
  void write(TarWriter& writer, std::uint64_t count) const {
    while (count > 0) {
      const std::size_t part = std::min<std::uint64_t>(count, zeros_.size());
      writer.write({zeros_.data(), part});
      count -= part;
    }
  }

 private:
  std::string zeros_ = std::string(kPiece, '\0');
};

// `count` bytes from `offset`; zeros for what the file does not have any more.
void write_range(TarWriter& writer, int fd, std::uint64_t offset, std::uint64_t count,
                 std::string& buffer) {
  while (count > 0) {
    const std::size_t wanted = std::min<std::uint64_t>(count, buffer.size());
    const ssize_t got = pread(fd, buffer.data(), wanted, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) base::throw_errno("read");
    if (got == 0) return ZeroedPiece().write(writer, count);
    writer.write({buffer.data(), static_cast<std::size_t>(got)});
    offset += static_cast<std::uint64_t>(got);
    count -= static_cast<std::uint64_t>(got);
  }
}

void write_regions(TarWriter& writer, int fd, std::uint64_t size,
                   const std::vector<TarRegion>& regions) {
  std::string buffer(std::min<std::uint64_t>(kPiece, std::max<std::uint64_t>(size, 1)), '\0');
  if (regions.empty()) return write_range(writer, fd, 0, size, buffer);
  const ZeroedPiece hole;
  std::uint64_t at = 0;
  for (const TarRegion& region : regions) {
    hole.write(writer, region.offset - at);
    write_range(writer, fd, region.offset, region.length, buffer);
    at = region.offset + region.length;
  }
  hole.write(writer, size - at);
}

std::string read_link(int fd, const struct stat& info) {
  std::string target(static_cast<std::size_t>(info.st_size) + 4096, '\0');
  const ssize_t size = base::check(readlinkat(fd, "", target.data(), target.size()), "read link");
  target.resize(static_cast<std::size_t>(size));
  return target;
}

void write_mark(TarWriter& writer, const std::string& path) {
  TarEntry entry;
  entry.path = path;
  entry.attributes.mode = 0;
  writer.add(entry);
}

}  // namespace

bool FilePacker::link_to_earlier(TarEntry& entry, std::uint64_t device, std::uint64_t inode) {
  const auto [found, first] = links_.emplace(std::pair(device, inode), entry.path);
  if (first) return false;
  entry.type = TarEntry::Type::kHardLink;
  entry.link_target = found->second;
  entry.attributes.xattrs.clear();
  entry.size = 0;
  writer_.add(entry);
  return true;
}

void FilePacker::add_file(int fd, TarEntry& entry) {
  if (entry.size == 0) {
    const std::string content = base::read_fd(fd, kMaxPseudoFile);
    entry.size = content.size();
    writer_.add(entry);
    return writer_.write(content);
  }
  const std::vector<TarRegion> regions = find_regions(fd, entry.size);
  writer_.add(entry, regions);
  write_regions(writer_, fd, entry.size, regions);
}

bool FilePacker::add(int parent_fd, const std::string& base, std::string name) {
  base::UniqueFd fd = open_below(parent_fd, base, O_PATH);
  if (!fd && is_gone(errno)) return false;
  if (!fd) base::throw_errno(base::printable(name));
  struct stat info = {};
  base::check(fstat(fd.get(), &info), "stat");
  if (S_ISSOCK(info.st_mode)) {
    base::trace("storage", base::printable(name) + " is a socket: left out");
    return false;
  }
  TarEntry entry = {
      .type = type_of(info.st_mode), .path = std::move(name), .attributes = plain_attributes(info)};
  if (S_ISDIR(info.st_mode) || S_ISREG(info.st_mode)) {
    // What the descriptor leads to is no link and no FIFO: opening it can't go astray or wait.
    fd = base::open_file("/proc/self/fd/" + std::to_string(fd.get()), O_RDONLY | O_NONBLOCK);
    entry.attributes = read_attributes(fd.get(), policy_);
  }
  if (S_ISDIR(info.st_mode)) entry.path += "/";
  if (S_ISLNK(info.st_mode)) entry.link_target = read_link(fd.get(), info);
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
    entry.device_major = major(info.st_rdev);
    entry.device_minor = minor(info.st_rdev);
  }
  if (!S_ISDIR(info.st_mode) && info.st_nlink > 1 &&
      link_to_earlier(entry, info.st_dev, info.st_ino)) {
    return true;
  }
  entry.size = S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0;
  if (S_ISREG(info.st_mode)) {
    add_file(fd.get(), entry);
  } else {
    writer_.add(entry);
  }
  return true;
}

void write_diff(TarWriter& writer, int upper_fd, const std::vector<Change>& changes, DiffRoot root,
                const OverlayPolicy& policy) {
  FilePacker packer(writer, policy);
  if (root == DiffRoot::kWithRoot) packer.add(upper_fd, ".", ".");
  std::string folder;
  base::UniqueFd folder_fd = open_parent(upper_fd, "");
  for (const Change& change : changes) {
    if (change.implied) continue;
    const std::size_t slash = change.path.rfind('/');
    const std::string parent = slash == 0 ? "" : change.path.substr(1, slash - 1);
    const std::string base = change.path.substr(slash + 1);
    const std::string prefix = parent.empty() ? "" : parent + "/";
    if (change.kind == Change::Kind::kDeleted) {
      write_mark(writer, prefix + kWhiteoutPrefix + base);
      continue;
    }
    if (parent != folder || !folder_fd) {
      folder_fd = open_parent(upper_fd, parent);
      folder = parent;
    }
    if (!folder_fd) continue;  // gone with all that is in it
    base::while_doing(base::printable(change.path), [&] {
      if (!packer.add(folder_fd.get(), base, prefix + base) || !change.opaque) return;
      write_mark(writer, prefix + base + "/" + kOpaqueName);
    });
  }
}

}  // namespace storage
