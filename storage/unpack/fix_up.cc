#include "storage/unpack/fix_up.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/trace.h"
#include "storage/unpack/layer_path.h"
#include "storage/unpack/whiteout.h"

namespace storage {
namespace {

constexpr int kOpenDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

// One layer's directory of those that a merged directory is made of.
struct Part {
  std::size_t layer = 0;  // 0: the layer itself, 1: the topmost below it
  base::UniqueFd fd;
};
using Parts = std::vector<Part>;

bool is_opaque(int fd, const OverlayPolicy& policy) {
  char value = 0;
  return fgetxattr(fd, policy.opaque_xattr, &value, 1) == 1 && value == 'y';
}

std::optional<struct stat> find_entry(int dir_fd, const std::string& name) {
  struct stat info = {};
  if (fstatat(dir_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) return info;
  if (errno == ENOENT) return std::nullopt;
  base::throw_errno(base::printable(name));
}

// The parts of a child as overlayfs looks it up: from the top down, directories merge until
// something that is none, a whiteout or an opaque directory ends it.
Parts find_child_parts(const Parts& parts, const std::string& name, const OverlayPolicy& policy) {
  Parts found;
  for (const Part& part : parts) {
    const auto info = find_entry(part.fd.get(), name);
    if (!info) continue;
    if (!S_ISDIR(info->st_mode)) break;
    found.push_back({part.layer, base::open_at(part.fd.get(), name, kOpenDirectory)});
    if (is_opaque(found.back().fd.get(), policy)) break;
  }
  return found;
}

// Looks directories up in a layer and what lies below. Paths that come sorted share their way.
class MergedView {
 public:
  MergedView(const std::filesystem::path& layer, const std::vector<std::filesystem::path>& lower,
             const OverlayPolicy& policy)
      : policy_(policy) {
    Parts roots;
    roots.push_back({0, base::open_file(layer, kOpenDirectory)});
    for (const auto& path : lower) {
      roots.push_back({roots.size(), base::open_file(path, kOpenDirectory)});
    }
    way_.emplace_back(std::string(), std::move(roots));
  }

  // Valid until the next call.
  const Parts& find(std::string_view path) {
    std::size_t known = 1;  // steps of the last way that are the same
    const LayerPath components = parse_layer_path(path);
    while (known < way_.size() && known <= components.size() &&
           way_[known].first == components[known - 1]) {
      ++known;
    }
    way_.resize(known);
    for (std::size_t i = known - 1; i < components.size(); ++i) {
      const std::string name(components[i]);
      way_.emplace_back(name, find_child_parts(way_.back().second, name, policy_));
    }
    return way_.back().second;
  }

  const Parts& roots() const { return way_.front().second; }

 private:
  const OverlayPolicy& policy_;
  std::vector<std::pair<std::string, Parts>> way_;
};

bool has_implied_attributes(const Attributes& attributes) {
  const Attributes implied;
  return attributes.mode == implied.mode && attributes.uid == implied.uid &&
         attributes.gid == implied.gid && attributes.xattrs.empty();
}

// The directory that an implied one stands over: the topmost below in directories that are merged.
// Whether the implied one is opaque itself does not matter.
base::UniqueFd find_lower_directory(MergedView& view, const std::string& path) {
  const LayerPath components = parse_layer_path(path);
  const std::string name(components.empty() ? "." : components.back());
  for (const Part& part :
       view.find(join({components.begin(), components.end() - (components.empty() ? 0 : 1)}))) {
    if (part.layer == 0) continue;
    const auto info = find_entry(part.fd.get(), name);
    if (!info) continue;
    if (S_ISLNK(info->st_mode)) {
      base::trace("storage", base::printable(path) + " replaces a symbolic link of a lower layer");
    }
    if (!S_ISDIR(info->st_mode)) break;
    return base::open_at(part.fd.get(), name, kOpenDirectory);
  }
  return {};
}

// Whether the layer's own directory has this time. Of the root it is not asked: hardly any layer
// describes its root, so nearly each would be copied for a time that containers never show (theirs
// is the writable directory's).
bool has_time(MergedView& view, const std::string& path, const timespec& time) {
  if (path.empty()) return true;
  const Parts& parts = view.find(path);
  assert(!parts.empty() && parts.front().layer == 0);
  struct stat info = {};
  base::check(fstat(parts.front().fd.get(), &info), base::printable(path));
  return info.st_mtim.tv_sec == time.tv_sec && info.st_mtim.tv_nsec == time.tv_nsec;
}

using OwnTimes = std::map<std::string_view, timespec>;  // by path

// Where none is below, the layer's own time counts, which another stack may have overwritten.
void restore_own_time(MergedView& view, const std::string& path, const OwnTimes& own_times,
                      FixUps& fix_ups) {
  const auto own = own_times.find(path);
  if (own == own_times.end() || has_time(view, path, own->second)) return;
  Attributes attributes;
  attributes.atime = attributes.mtime = own->second;
  fix_ups.directories.push_back({path, std::move(attributes), true});
}

void find_directory(MergedView& view, const std::string& path, const OwnTimes& own_times,
                    const OverlayPolicy& policy, FixUps& fix_ups) {
  const base::UniqueFd fd = find_lower_directory(view, path);
  if (!fd) return restore_own_time(view, path, own_times, fix_ups);
  Attributes attributes = read_attributes(fd.get(), policy);
  const bool only_time = has_implied_attributes(attributes);
  if (only_time && has_time(view, path, attributes.mtime)) return;
  fix_ups.directories.push_back({path, std::move(attributes), only_time});
}

void find_link(MergedView& view, const LayerRecord::Link& link, bool root_is_opaque,
               FixUps& fix_ups) {
  const LayerPath target = parse_layer_path(link.target);
  const std::string name(target.back());
  for (const Part& part : view.find(join({target.begin(), target.end() - 1}))) {
    const auto info = find_entry(part.fd.get(), name);
    if (root_is_opaque && part.layer > 0) break;
    if (!info) continue;
    if (S_ISDIR(info->st_mode) || is_whiteout(*info)) break;
    fix_ups.links.push_back({link.path, base::open_at(part.fd.get(), ".", kOpenDirectory), name});
    return;
  }
  throw base::Error(base::ErrorKind::kInvalid, base::printable(link.path) + ": hard link to " +
                                                   base::printable(link.target) +
                                                   ", which is neither in this layer nor below it");
}

// What an opaque root means, said in words that overlayfs knows.
void hide_roots(const MergedView& view, FixUps& fix_ups) {
  const int own = view.roots().front().fd.get();
  std::set<std::string> names;
  for (const Part& part : view.roots()) {
    if (part.layer == 0) continue;
    for_each_name(part.fd.get(), [&](const std::string& name) {
      const auto info = find_entry(part.fd.get(), name);
      if (info && !is_whiteout(*info)) names.insert(name);
      return true;
    });
  }
  for (const std::string& name : names) {
    const auto info = find_entry(own, name);
    if (!info) {
      fix_ups.whiteouts.push_back(name);
    } else if (S_ISDIR(info->st_mode)) {
      fix_ups.opaque.push_back(name);
    }
  }
}

}  // namespace

bool FixUps::only_times() const {
  return links.empty() && opaque.empty() && whiteouts.empty() && unmerged.empty() &&
         std::all_of(directories.begin(), directories.end(),
                     [](const Directory& directory) { return directory.only_time; });
}

FixUps find_fix_ups(const std::filesystem::path& layer, const LayerRecord& record,
                    const std::vector<std::filesystem::path>& lower, const OverlayPolicy& policy) {
  FixUps fix_ups;
  MergedView view(layer, lower, policy);
  std::vector<std::string> implied = record.implied;
  std::sort(implied.begin(), implied.end());
  OwnTimes own_times;
  for (const LayerRecord::OwnTime& own : record.own_times) own_times[own.path] = own.time;
  for (const std::string& path : implied) {
    find_directory(view, path, own_times, policy, fix_ups);
  }
  for (const LayerRecord::Link& link : record.links) {
    find_link(view, link, record.root_opaque, fix_ups);
  }
  if (record.root_opaque) hide_roots(view, fix_ups);
  std::vector<std::string> deleting = record.deleting;
  std::sort(deleting.begin(), deleting.end());
  for (const std::string& path : deleting) {
    const Parts& parts = view.find(path);
    if (parts.size() < 2) fix_ups.unmerged.push_back(path);
  }
  return fix_ups;
}

}  // namespace storage
