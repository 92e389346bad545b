#include "storage/pack/tree_tar.h"

#include <fcntl.h>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"

namespace storage {
namespace {

constexpr int kMaxTreeDepth = 512;

void write_below(FilePacker& packer, int parent_fd, const std::string& base,
                 const std::string& name, int depth) {
  const base::UniqueFd fd(
      openat(parent_fd, base.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return;  // no directory
  if (depth > kMaxTreeDepth) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "more than " + std::to_string(kMaxTreeDepth) + " levels of directories");
  }
  for (const std::string& child : base::sorted_names(fd.get())) {
    const std::string path = name + "/" + child;
    const bool is_packed =
        base::while_doing(base::printable(path), [&] { return packer.add(fd.get(), child, path); });
    if (is_packed) write_below(packer, fd.get(), child, path, depth + 1);
  }
}

}  // namespace

void write_tree(TarWriter& writer, int parent_fd, const std::string& base, const std::string& name,
                const OverlayPolicy& policy) {
  FilePacker packer(writer, policy);
  if (!packer.add(parent_fd, base, name)) {
    throw base::Error(base::ErrorKind::kNotFound, base::printable(name) + ": nothing to copy");
  }
  write_below(packer, parent_fd, base, name, 0);
}

}  // namespace storage
