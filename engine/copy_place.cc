#include "engine/copy_place.h"

#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"

namespace engine {
namespace {

constexpr int kMaxLinks = 40;  // the kernel's MAXSYMLINKS

// "/a/b" → "/a", "b"; "/" → "/", "."; a name that is no name stands for the directory it leads to.
std::pair<std::string, std::string> split(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const std::size_t slash = path.rfind('/');
  std::string name = path.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") return {path, "."};
  return {slash == 0 ? "/" : path.substr(0, slash), std::move(name)};
}

std::string read_link(int parent_fd, const std::string& name) {
  std::string target(PATH_MAX, '\0');
  const ssize_t size = readlinkat(parent_fd, name.c_str(), target.data(), target.size());
  if (size < 0) base::throw_errno(base::printable(name));
  target.resize(static_cast<std::size_t>(size));
  return target;
}

}  // namespace

base::UniqueFd CopyTree::find_directory(const std::string& path) const {
  constexpr int kFlags = O_PATH | O_DIRECTORY;
  if (root_fd_ >= 0) {
    auto found = base::find_in_root(root_fd_, path, kFlags);
    return found ? std::move(*found) : base::UniqueFd();
  }
  base::UniqueFd fd(open(path.c_str(), kFlags | O_CLOEXEC));
  if (!fd && errno != ENOENT && errno != ENOTDIR) base::throw_errno(base::printable(path));
  return fd;
}

CopyPlace find_place(const CopyTree& tree, const std::string& path, FollowLast follow) {
  CopyPlace place{.path = path};
  for (int links = 0; links < kMaxLinks; ++links) {
    const auto [folder, name] = split(place.path);
    place.parent = tree.find_directory(folder);
    place.name = name;
    place.found.reset();
    if (!place.parent) return place;
    struct stat info = {};
    if (fstatat(place.parent.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return place;
      base::throw_errno(base::printable(place.path));
    }
    place.found = info;
    if (follow == FollowLast::kNo || !S_ISLNK(info.st_mode)) return place;
    const std::string target = read_link(place.parent.get(), name);
    place.path = target.starts_with('/') ? target : folder + "/" + target;
  }
  base::throw_errno(base::printable(path), ELOOP);
}

}  // namespace engine
