#include "storage/unpack/tree_writer.h"

#include <cerrno>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/trace.h"
#include "storage/unpack/whiteout.h"

namespace storage {
namespace {

constexpr std::uint64_t kDiskBlock = 4096;
constexpr std::size_t kMaxNameless = 256;  // each is a descriptor
constexpr std::size_t kMaxDeferredBytes = 64U << 20U;

[[noreturn]] void throw_invalid(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

// Smaller files are in the tar record themselves: the reference would be as long.
constexpr std::uint64_t kWorthReferring = 64;

std::string path_below(const DirNode& parent, const std::string& name) {
  const std::string above = parent.path();
  return above.empty() ? name : above + "/" + name;
}

bool is_zero(const timespec& time) { return time.tv_sec == 0 && time.tv_nsec == 0; }

}  // namespace

TreeWriter::TreeWriter(base::UniqueFd root, FileWriters& writers, const OverlayPolicy& policy,
                       TarRecorder* recorder)
    : tree_(std::move(root)), writers_(writers), policy_(policy), recorder_(recorder) {}

void TreeWriter::add(const TarEntry& entry, TarReader& reader) {
  base::while_doing(base::printable(entry.path), [&] {
    const LayerPath path = parse_layer_path(entry.path);
    DirNode& root = tree_.root();
    if (is_zero(root.implied_time)) root.implied_time = entry.attributes.mtime;
    if (path.empty()) {
      add_root(entry);
    } else if (is_aufs_link(path) && entry.type == TarEntry::Type::kFile) {
      add_nameless(std::string(path[1]), entry, reader);
    } else if (is_below_whiteout_name(path)) {
      base::trace("storage", "entry below a whiteout's name ignored");
    } else {
      add_entry(path, entry, reader);
    }
  });
}

// The type of an entry whose name is a whiteout does not matter: directories were seen, too.
void TreeWriter::add_entry(const LayerPath& path, const TarEntry& entry, TarReader& reader) {
  const LayerPath above(path.begin(), path.end() - 1);
  const EntryName name = classify_name(path.back());
  switch (name.kind) {
    case EntryName::Kind::kIgnored:
      return;
    case EntryName::Kind::kOpaque:
      if (DirNode* node = find_directory(above, Purpose::kOpaque, entry.attributes.mtime)) {
        node->opaque = true;
      }
      return;
    case EntryName::Kind::kWhiteout:
      if (DirNode* node = find_directory(above, Purpose::kWhiteout, entry.attributes.mtime)) {
        add_whiteout(*node, std::string(name.name));
      }
      return;
    case EntryName::Kind::kPlain:
      break;
  }
  DirNode& parent = *find_directory(above, Purpose::kEntry, entry.attributes.mtime);
  const std::string base_name(name.name);
  switch (entry.type) {
    case TarEntry::Type::kFile:
      return add_file(parent, base_name, entry, reader);
    case TarEntry::Type::kDirectory:
      return add_directory(parent, base_name, entry);
    case TarEntry::Type::kSymlink:
      return add_symlink(parent, base_name, entry);
    case TarEntry::Type::kHardLink:
      return add_hard_link(parent, base_name, entry);
    case TarEntry::Type::kCharDevice:
    case TarEntry::Type::kBlockDevice:
    case TarEntry::Type::kFifo:
      return add_device(parent, base_name, entry);
  }
}

void TreeWriter::add_root(const TarEntry& entry) {
  // A link here would move the whole layer elsewhere (CVE-2021-29136).
  if (entry.type != TarEntry::Type::kDirectory) throw_invalid("the root is not a directory");
  tree_.root().attributes = entry.attributes;
}

void TreeWriter::clear(DirNode& parent, const std::string& name) {
  forget_links(parent, name);
  const int fd = tree_.fd_of(parent);
  DirNode* const child = DirTree::find_child(parent, name);
  if (recorder_ != nullptr && recorder_->set_aside(fd, name, path_below(parent, name))) {
    if (child != nullptr) tree_.remove(*child);
    return;
  }
  if (child != nullptr) {
    base::remove_tree("/proc/self/fd/" + std::to_string(fd) + "/" + name);
    tree_.remove(*child);
    return;
  }
  base::check(unlinkat(fd, name.c_str(), 0), "replace");
}

// Runs `create`, which must not replace anything, and clears the name where it is taken.
template <class Create>
int TreeWriter::create(DirNode& parent, const std::string& name, Create create) {
  forget_links(parent, name);
  int result = create(tree_.fd_of(parent), name.c_str());
  if (result < 0 && errno == EEXIST) {
    clear(parent, name);
    result = create(tree_.fd_of(parent), name.c_str());
  }
  return base::check(result, "create");
}

void TreeWriter::add_file(DirNode& parent, const std::string& name, const TarEntry& entry,
                          TarReader& reader) {
  base::UniqueFd file(create(parent, name, [](int fd, const char* text) {
    return openat(fd, text, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  }));
  writers_.begin(std::move(file));
  std::uint64_t stored = 0;
  const bool is_recorded = recorder_ != nullptr && entry.size >= kWorthReferring;
  const std::string path = is_recorded ? path_below(parent, name) : std::string();
  while (const auto piece = reader.read()) {
    if (is_recorded) {
      recorder_->content(piece->position, piece->bytes.size(), path, piece->offset);
    }
    writers_.write(piece->offset, piece->bytes);
    stored += piece->bytes.size();
  }
  writers_.end(entry.size, entry.attributes);
  disk_bytes_ += (stored + kDiskBlock - 1) / kDiskBlock * kDiskBlock;
}

// docker knows them too (go-archive, "aufsHardlinks"): images of its first years have such.
void TreeWriter::add_nameless(const std::string& name, const TarEntry& entry, TarReader& reader) {
  if (nameless_.size() == kMaxNameless) throw_invalid("too many links of AUFS");
  base::UniqueFd file = base::open_at(tree_.fd_of(tree_.root()), ".", O_TMPFILE | O_RDWR, 0600);
  nameless_[name] =
      base::UniqueFd(base::check(fcntl(file.get(), F_DUPFD_CLOEXEC, 3), "duplicate descriptor"));
  writers_.begin(std::move(file));
  std::uint64_t stored = 0;
  while (const auto piece = reader.read()) {
    writers_.write(piece->offset, piece->bytes);
    stored += piece->bytes.size();
  }
  writers_.end(entry.size, entry.attributes);
  disk_bytes_ += (stored + kDiskBlock - 1) / kDiskBlock * kDiskBlock;
}

bool TreeWriter::link_nameless(DirNode& parent, const std::string& name, const LayerPath& target) {
  const auto file = is_aufs_link(target) ? nameless_.find(target[1]) : nameless_.end();
  if (file == nameless_.end()) return false;
  const std::string from = "/proc/self/fd/" + std::to_string(file->second.get());
  create(parent, name, [&](int fd, const char* text) {
    return linkat(AT_FDCWD, from.c_str(), fd, text, AT_SYMLINK_FOLLOW);
  });
  return true;
}

// Replaces what is no directory.
DirNode& TreeWriter::make_directory(DirNode& parent, const std::string& name,
                                    const timespec& time) {
  create(parent, name, [](int fd, const char* text) { return mkdirat(fd, text, 0700); });
  DirNode& node = tree_.add(parent, name);
  node.implied_time = time;
  node.opaque = parent.deleted.contains(name);  // made anew here: nothing may shine through
  disk_bytes_ += kDiskBlock;
  return node;
}

void TreeWriter::add_directory(DirNode& parent, const std::string& name, const TarEntry& entry) {
  DirNode* node = DirTree::find_child(parent, name);
  if (node == nullptr) node = &make_directory(parent, name, entry.attributes.mtime);
  node->attributes = entry.attributes;
}

void TreeWriter::add_device(DirNode& parent, const std::string& name, const TarEntry& entry) {
  const bool is_char = entry.type == TarEntry::Type::kCharDevice;
  if (is_char && entry.device_major == 0 && entry.device_minor == 0) {
    base::trace("storage", "device 0/0 ignored: on disk it would delete what lies below");
    return;
  }
  const mode_t type = is_char                                      ? S_IFCHR
                      : entry.type == TarEntry::Type::kBlockDevice ? S_IFBLK
                                                                   : S_IFIFO;
  const dev_t device = makedev(entry.device_major, entry.device_minor);
  create(parent, name, [&](int fd, const char* text) {
    return mknodat(fd, text, type | 0600U, type == S_IFIFO ? 0 : device);
  });
  apply_attributes_at(tree_.fd_of(parent), name, type, entry.attributes);
}

void TreeWriter::add_symlink(DirNode& parent, const std::string& name, const TarEntry& entry) {
  if (entry.link_target.empty()) throw_invalid("symbolic link without a target");
  if (entry.link_target.size() >= PATH_MAX) throw_invalid("symbolic link with too long a target");
  create(parent, name,
         [&](int fd, const char* text) { return symlinkat(entry.link_target.c_str(), fd, text); });
  apply_attributes_at(tree_.fd_of(parent), name, S_IFLNK, entry.attributes);
}

// The link's own attributes are those of its target, which has them from its own entry.
void TreeWriter::add_hard_link(DirNode& parent, const std::string& name, const TarEntry& entry) {
  const LayerPath target = parse_layer_path(entry.link_target);
  if (target.empty()) throw_invalid("hard link to a directory");
  if (link_nameless(parent, name, target)) return;
  const std::string target_name(target.back());
  DirNode* from = find_directory({target.begin(), target.end() - 1}, Purpose::kLookup, {});
  // Before anything is unlinked: the target must not be what makes room.
  if (from == &parent && target_name == name) throw_invalid("hard link to itself");
  DirNode* replaced = DirTree::find_child(parent, name);
  if (from != nullptr && replaced != nullptr && from->is_below(*replaced)) {
    throw_invalid("hard link would replace the directory of its target");
  }
  struct stat info = {};
  if (from == nullptr ||
      fstatat(tree_.fd_of(*from), target_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    // By its directory in this layer, where it has one: the way may have led through links.
    return defer_link(parent, name,
                      from == nullptr ? join(target) : path_below(*from, target_name));
  }
  if (S_ISDIR(info.st_mode)) throw_invalid("hard link to a directory");
  if (is_whiteout(info)) throw_invalid("hard link to a file that this layer deletes");
  create(parent, name, [&](int fd, const char* text) {
    return linkat(tree_.fd_of(*from), target_name.c_str(), fd, text, 0);
  });
}

void TreeWriter::defer_link(DirNode& parent, const std::string& name, std::string target) {
  struct stat info = {};
  if (fstatat(tree_.fd_of(parent), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
    clear(parent, name);
  }
  // A link to a link that waits itself: both are names of what that one waits for.
  if (const auto other = deferred_.find(target); other != deferred_.end()) target = other->second;
  const std::string path = path_below(parent, name);
  const auto [link, is_new] = deferred_.insert_or_assign(path, std::move(target));
  if (is_new) deferred_bytes_ += path.size() + link->second.size() + 128;
  if (deferred_bytes_ > kMaxDeferredBytes) throw_invalid("too many hard links to missing files");
}

// What takes a name, or removes a directory, takes the place of the links that waited there.
void TreeWriter::forget_links(const DirNode& parent, const std::string& name) {
  if (deferred_.empty()) return;
  const std::string path = path_below(parent, name);
  deferred_.erase(path);
  const std::string inside = path + "/";
  auto link = deferred_.lower_bound(inside);
  while (link != deferred_.end() && link->first.starts_with(inside)) link = deferred_.erase(link);
}

// A whiteout hides lower layers only, wherever it stands in its own: what this layer has under that
// name stays.
void TreeWriter::add_whiteout(DirNode& parent, const std::string& name) {
  tree_.add_deleted(parent, name);
  DirNode* const child = DirTree::find_child(parent, name);
  if (child != nullptr) {
    if (!holds_only_whiteouts(*child)) {
      child->opaque = true;
      return;
    }
    clear(parent, name);
  }
  const int fd = tree_.fd_of(parent);
  if (mknodat(fd, name.c_str(), S_IFCHR, makedev(0, 0)) != 0 && errno != EEXIST) {
    base::throw_errno("create whiteout");
  }
}

}  // namespace storage
