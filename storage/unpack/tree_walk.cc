// TreeWriter's way to an entry's directory, and what it does with all of them at the end.
#include <cerrno>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "storage/unpack/tree_writer.h"
#include "storage/unpack/whiteout.h"

namespace storage {
namespace {

constexpr int kMaxLinks = 40;    // as the kernel's, path_resolution(7)
constexpr int kMaxSteps = 8192;  // of one walk, links' targets included
constexpr mode_t kImpliedMode = 0755;

std::string read_link_at(int fd, const std::string& name) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = readlinkat(fd, name.c_str(), target.data(), target.size());
  target.resize(static_cast<std::size_t>(base::check(size, "read link")));
  return target;
}

}  // namespace

struct TreeWriter::Walk {
  Purpose purpose;
  timespec time;
  std::vector<std::string> rest;  // components still to go, the next one last
  int links = 0;

  // Replaces a link by its target's components. What an absolute one is below is the caller's.
  void follow(const std::string& target) {
    if (++links > kMaxLinks) {
      throw base::Error(base::ErrorKind::kInvalid, "too many levels of symbolic links");
    }
    for (std::size_t end = target.size(); end > 0;) {
      const std::size_t slash = target.rfind('/', end - 1);
      const std::size_t start = slash == std::string::npos ? 0 : slash + 1;
      std::string part = target.substr(start, end - start);
      if (!part.empty() && part != ".") rest.push_back(std::move(part));
      end = slash == std::string::npos ? 0 : slash;
    }
  }
};

// The directory at `path`; directories that are missing are made, links that this layer has are
// followed below its root. Null where `purpose` allows that: for a whiteout there is nothing to
// delete, a lookup found nothing.
DirNode* TreeWriter::find_directory(const LayerPath& path, Purpose purpose, const timespec& time) {
  DirNode* node = &tree_.root();
  std::size_t known = 0;  // nearly always all of it: the tree has only real directories
  for (; known < path.size(); ++known) {
    DirNode* child = DirTree::find_child(*node, path[known]);
    if (child == nullptr) break;
    node = child;
  }
  if (known == path.size()) return node;
  Walk walk = {.purpose = purpose, .time = time, .rest = {}};
  for (std::size_t i = path.size(); i > known; --i) walk.rest.emplace_back(path[i - 1]);
  for (int steps = 0; node != nullptr && !walk.rest.empty(); ++steps) {
    if (steps > kMaxSteps) throw base::Error(base::ErrorKind::kInvalid, "path is too long");
    const std::string name = std::move(walk.rest.back());
    walk.rest.pop_back();
    if (name == "..") {  // of a link; there is nothing above the root
      if (node->parent() != nullptr) node = node->parent();
    } else if (DirNode* child = DirTree::find_child(*node, name)) {
      node = child;
    } else {
      node = enter(*node, name, walk);
    }
  }
  return node;
}

// One step to a name that is no directory of this layer (yet).
DirNode* TreeWriter::enter(DirNode& node, const std::string& name, Walk& walk) {
  struct stat info = {};
  if (fstatat(tree_.fd_of(node), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno != ENOENT) base::throw_errno(name);
    return walk.purpose == Purpose::kLookup ? nullptr : &make_directory(node, name, walk.time);
  }
  if (S_ISLNK(info.st_mode)) {
    const std::string target = read_link_at(tree_.fd_of(node), name);
    walk.follow(target);
    return target.starts_with('/') ? &tree_.root() : &node;
  }
  if (walk.purpose == Purpose::kLookup || walk.purpose == Purpose::kWhiteout) return nullptr;
  const bool is_replaced =
      is_whiteout(info) || (walk.purpose == Purpose::kOpaque && walk.rest.empty());
  if (!is_replaced) throw base::Error(base::ErrorKind::kInvalid, "a parent is not a directory");
  return &make_directory(node, name, walk.time);
}

bool TreeWriter::has_links_below(const DirNode& node) const {
  if (deferred_.empty()) return false;
  const std::string inside = node.path() + "/";
  const auto link = deferred_.lower_bound(inside);
  return link != deferred_.end() && link->first.starts_with(inside);
}

// Whether nothing would be lost if the directory were deleted: tools write "a/.wh.b" and ".wh.a".
bool TreeWriter::holds_only_whiteouts(DirNode& node) {
  if (node.attributes || node.opaque || has_links_below(node)) return false;
  bool only = true;
  for_each_name(tree_.fd_of(node), [&](const std::string& name) {
    if (DirNode* child = DirTree::find_child(node, name)) {
      only = holds_only_whiteouts(*child);
    } else {
      struct stat info = {};
      base::check(fstatat(tree_.fd_of(node), name.c_str(), &info, AT_SYMLINK_NOFOLLOW), name);
      only = is_whiteout(info);
    }
    return only;
  });
  return only;
}

// Of a link that had no target when its entry came.
void TreeWriter::check_deferred_target(const LayerPath& target) {
  struct stat info = {};
  DirNode* parent = find_directory({target.begin(), target.end() - 1}, Purpose::kLookup, {});
  if (parent == nullptr || fstatat(tree_.fd_of(*parent), std::string(target.back()).c_str(), &info,
                                   AT_SYMLINK_NOFOLLOW) != 0) {
    return;
  }
  throw base::Error(base::ErrorKind::kInvalid, is_whiteout(info)
                                                   ? "hard link to a file that this layer deletes"
                                                   : "hard link to a later entry");
}

LayerRecord TreeWriter::finish() {
  LayerRecord record;
  record.root_opaque = tree_.root().opaque;
  for (const auto& [path, target] : deferred_) {
    base::while_doing(base::printable(path), [&target = target, this] {
      check_deferred_target(parse_layer_path(target));
    });
    record.links.push_back({path, target});
  }
  finish_directory(tree_.root(), record);
  return record;
}

void TreeWriter::finish_directory(DirNode& node, LayerRecord& record) {
  for (const auto& [name, child] : node.children) finish_directory(*child, record);
  const bool hidden = node.is_hidden_from_lower();
  // An opaque mark hides what is in the directory below, not that directory's own attributes.
  const DirNode* const above = node.parent();
  const bool is_new =
      above != nullptr && (above->is_hidden_from_lower() || above->deleted.contains(node.name()));
  if (!node.attributes && !is_new) record.implied.push_back(node.path());
  if (!node.deleted.empty() && hidden) remove_whiteouts(tree_.fd_of(node));
  if (!node.deleted.empty() && !hidden) record.deleting.push_back(node.path());
  Attributes implied;
  implied.mode = kImpliedMode;
  implied.atime = implied.mtime = node.implied_time;
  const Attributes& attributes = node.attributes ? *node.attributes : implied;

  DirNode* const parent = node.parent();
  if (parent != nullptr && !node.opaque && attributes.xattrs.empty()) {
    return apply_attributes_at(tree_.fd_of(*parent), node.name(), S_IFDIR, attributes);
  }
  const base::UniqueFd fd = base::open_at(tree_.fd_of(node), ".", O_RDONLY | O_DIRECTORY);
  if (parent != nullptr && node.opaque) {
    base::check(fsetxattr(fd.get(), policy_.opaque_xattr, "y", 1, 0), policy_.opaque_xattr);
  }
  apply_attributes(fd.get(), attributes);
}

}  // namespace storage
