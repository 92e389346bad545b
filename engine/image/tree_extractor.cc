#include "engine/image/tree_extractor.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "storage/unpack/inflater.h"
#include "storage/unpack/layer_path.h"
#include "storage/unpack/tar_reader.h"

namespace engine {
namespace {

using storage::TarEntry;

constexpr int kAttempts = 16;               // against somebody who makes the name again and again
constexpr std::size_t kInput = 16U << 10U;  // small, since it may inflate to a thousand times that

std::string proc_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

// Inflates what is read, a piece at a time.
class InflatedStream : private storage::InflateOutput {
 public:
  explicit InflatedStream(const std::function<std::string_view()>& read) : read_(read) {}

  std::string_view next() {
    filled_ = 0;
    while (filled_ == 0 && !ended_) {
      if (input_.empty()) input_ = read_();
      if (input_.empty()) {
        inflater_.finish(*this);
        ended_ = true;
        break;
      }
      const std::string_view piece = input_.substr(0, kInput);
      input_.remove_prefix(piece.size());
      inflater_.write(piece, *this);
    }
    total_ += filled_;
    return {buffer_.data(), filled_};
  }

  std::uint64_t total() const { return total_; }

 private:
  std::span<char> space() override {
    constexpr std::size_t kStep = 256U << 10U;
    if (buffer_.size() - filled_ < kStep) buffer_.resize(filled_ + kStep);
    return {buffer_.data() + filled_, buffer_.size() - filled_};
  }
  void produce(std::size_t size) override { filled_ += size; }

  const std::function<std::string_view()>& read_;
  std::string_view input_;
  storage::Inflater inflater_;
  std::string buffer_;
  std::size_t filled_ = 0;
  bool ended_ = false;
  std::uint64_t total_ = 0;
};

class Extractor {
 public:
  Extractor(int root_fd, std::string destination, const ExtractOptions& options)
      : root_fd_(root_fd), destination_(std::move(destination)), options_(options) {}

  void add(const TarEntry& entry, storage::TarReader& reader) {
    storage::LayerPath path = storage::parse_layer_path(entry.path);
    if (path.empty()) return;  // the destination itself stays as it is
    const std::string name(path.back());
    path.pop_back();
    const base::UniqueFd parent = open_parent(path);
    struct stat there = {};
    const bool is_there = fstatat(parent.get(), name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
    const bool is_directory = entry.type == TarEntry::Type::kDirectory;
    if (is_there && S_ISDIR(there.st_mode) != is_directory) refuse(entry.path, is_directory);
    switch (entry.type) {
      case TarEntry::Type::kDirectory:
        return add_directory(parent.get(), name, entry);
      case TarEntry::Type::kFile:
        return add_file(parent.get(), name, entry, reader);
      case TarEntry::Type::kHardLink:
        return add_link(parent.get(), name, entry);
      default:
        return add_special(parent.get(), name, entry);
    }
  }

  // Directories get their times when nothing more is put into them.
  void finish() {
    for (const auto& [path, times] : directory_times_) {
      if (const auto fd = base::find_in_root(root_fd_, path, O_RDONLY | O_DIRECTORY)) {
        futimens(fd->get(), times.data());
      }
    }
  }

 private:
  using Times = std::array<timespec, 2>;

  std::string full(const storage::LayerPath& path) const {
    return destination_ + (path.empty() ? "" : "/" + storage::join(path));
  }

  base::UniqueFd open_parent(const storage::LayerPath& path) const {
    constexpr int kFlags = O_PATH | O_DIRECTORY;
    if (auto found = base::find_in_root(root_fd_, full(path), kFlags)) return std::move(*found);
    if (path.empty()) throw base::Error(base::ErrorKind::kNotFound, destination_ + " is gone");
    storage::LayerPath above = path;
    above.pop_back();
    const base::UniqueFd parent = open_parent(above);
    const std::string name(path.back());
    if (mkdirat(parent.get(), name.c_str(), 0755) != 0 && errno != EEXIST) {
      base::throw_errno("mkdir " + base::printable(name));
    }
    return base::open_in_root(root_fd_, full(path), kFlags);
  }

  [[noreturn]] static void refuse(const std::string& path, bool is_directory) {
    throw base::Error(
        base::ErrorKind::kConflict,
        std::string("cannot overwrite ") + (is_directory ? "non-directory" : "directory") + " \"" +
            base::printable(path) + "\" with " + (is_directory ? "directory" : "non-directory"));
  }

  storage::Attributes attributes_of(const TarEntry& entry) const {
    storage::Attributes attributes = entry.attributes;
    if (options_.owner) {
      attributes.uid = options_.owner->uid;
      attributes.gid = options_.owner->gid;
    }
    return attributes;
  }

  // Ids that are ours must be set, too: a directory that was there is somebody else's, and what is
  // made in a setgid directory takes its group.
  static void set_attributes(int fd, const storage::Attributes& attributes) {
    base::check(fchown(fd, attributes.uid, attributes.gid), "chown");
    storage::apply_attributes(fd, attributes);
  }

  template <class Make>
  static int replace(int parent, const std::string& name, Make&& make) {
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
      if (unlinkat(parent, name.c_str(), 0) != 0 && errno != ENOENT) return -1;
      const int result = make();
      if (result >= 0 || errno != EEXIST) return result;
    }
    return -1;
  }

  void add_directory(int parent, const std::string& name, const TarEntry& entry) {
    if (mkdirat(parent, name.c_str(), 0700) != 0 && errno != EEXIST) base::throw_errno("mkdir");
    const base::UniqueFd fd = base::open_at(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    const storage::Attributes attributes = attributes_of(entry);
    set_attributes(fd.get(), attributes);
    directory_times_[full(storage::parse_layer_path(entry.path))] = {attributes.atime,
                                                                     attributes.mtime};
  }

  void add_file(int parent, const std::string& name, const TarEntry& entry,
                storage::TarReader& reader) {
    base::UniqueFd fd(replace(parent, name, [&] {
      return openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    }));
    if (!fd) base::throw_errno(base::printable(name));
    while (const auto piece = reader.read()) {
      std::string_view bytes = piece->bytes;
      auto at = static_cast<off_t>(piece->offset);
      while (!bytes.empty()) {
        const ssize_t count = pwrite(fd.get(), bytes.data(), bytes.size(), at);
        if (count < 0 && errno == EINTR) continue;
        base::check(count, "write");
        bytes.remove_prefix(static_cast<std::size_t>(count));
        at += count;
      }
    }
    base::check(ftruncate(fd.get(), static_cast<off_t>(entry.size)), "set size");
    set_attributes(fd.get(), attributes_of(entry));
  }

  void add_link(int parent, const std::string& name, const TarEntry& entry) {
    storage::LayerPath target = storage::parse_layer_path(entry.link_target);
    if (target.empty()) {
      throw base::Error(base::ErrorKind::kInvalid, "a hard link to the root");
    }
    const std::string last(target.back());
    target.pop_back();
    const auto folder = base::find_in_root(root_fd_, full(target), O_PATH | O_DIRECTORY);
    const base::UniqueFd file(
        folder ? openat(folder->get(), last.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1);
    struct stat info = {};
    if (!file || fstat(file.get(), &info) != 0 || S_ISDIR(info.st_mode)) {
      throw base::Error(base::ErrorKind::kInvalid, base::printable(entry.path) + ": hard link to " +
                                                       base::printable(entry.link_target) +
                                                       ", which is no file");
    }
    struct stat there = {};
    if (fstatat(parent, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
        there.st_ino == info.st_ino && there.st_dev == info.st_dev) {
      return;
    }
    const std::string path = proc_path(file.get());
    const int result = replace(parent, name, [&] {
      return linkat(AT_FDCWD, path.c_str(), parent, name.c_str(), AT_SYMLINK_FOLLOW);
    });
    if (result != 0) base::throw_errno("link " + base::printable(name));
  }

  void add_special(int parent, const std::string& name, const TarEntry& entry) {
    mode_t type = S_IFLNK;
    if (entry.type == TarEntry::Type::kFifo) type = S_IFIFO;
    if (entry.type == TarEntry::Type::kCharDevice) type = S_IFCHR;
    if (entry.type == TarEntry::Type::kBlockDevice) type = S_IFBLK;
    const int result = replace(parent, name, [&] {
      return type == S_IFLNK ? symlinkat(entry.link_target.c_str(), parent, name.c_str())
                             : mknodat(parent, name.c_str(), type | 0600U,
                                       makedev(entry.device_major, entry.device_minor));
    });
    if (result != 0) base::throw_errno(base::printable(name));
    const base::UniqueFd fd(openat(parent, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info = {};
    // Somebody else's by now: not ours to change.
    if (!fd || fstat(fd.get(), &info) != 0 || (info.st_mode & S_IFMT) != type) return;
    const storage::Attributes attributes = attributes_of(entry);
    base::check(fchownat(fd.get(), "", attributes.uid, attributes.gid, AT_EMPTY_PATH), "chown");
    if (type != S_IFLNK) {
      base::check(chmod(proc_path(fd.get()).c_str(), attributes.mode), "chmod");
    }
    const Times times = {attributes.atime, attributes.mtime};
    base::check(utimensat(fd.get(), "", times.data(), AT_EMPTY_PATH), "set times");
  }

  int root_fd_;
  std::string destination_;
  const ExtractOptions& options_;
  std::map<std::string, Times, std::greater<>> directory_times_;  // deepest first
};

}  // namespace

std::uint64_t extract_tree(int root_fd, const std::string& destination,
                           const std::function<std::string_view()>& read,
                           const ExtractOptions& options) {
  InflatedStream stream(read);
  storage::TarReader reader([&] { return stream.next(); }, {});
  Extractor extractor(root_fd, destination, options);
  while (const TarEntry* entry = reader.next()) {
    base::while_doing(base::printable(entry->path), [&] { extractor.add(*entry, reader); });
  }
  extractor.finish();
  while (!stream.next().empty()) {  // what stands behind the mark of the end
  }
  return stream.total();
}

}  // namespace engine
