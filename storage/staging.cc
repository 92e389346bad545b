// Directories on their way in (staging) and out (trash). Each is locked with flock(2) by the
// process that works on it, so that who is dead need not be guessed from process ids, which mean
// nothing in another pid namespace.
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "storage/locks.h"
#include "storage/store.h"

namespace storage {

// syncfs(2) reports what could not be written since its descriptor was opened, so that is opened
// before the first byte is written.
void Store::watch_file_system() {
  if (!root_fd_) root_fd_ = base::open_file(root_, O_RDONLY | O_DIRECTORY);
}

fs::path Store::make_staging(std::string_view purpose) {
  watch_file_system();
  for (;;) {
    const fs::path path = staging_dir() / (std::string(purpose) + "-" + base::random_hex(8));
    base::check(mkdir(path.c_str(), 0700), path.string());
    // A sweep may take it between these two lines for a dead process's.
    auto lock = try_lock_entry(path);
    if (!lock) continue;
    staging_.push_back({path, std::move(*lock)});
    return path;
  }
}

// The lock follows the directory to where it was renamed, and there it would keep others from
// removing it.
void Store::release_staging() {
  std::erase_if(staging_,
                [](const Staging& entry) { return !is_still_at(entry.lock.get(), entry.path); });
}

void Store::move_to_trash(const fs::path& tree) {
  const fs::path target = root_ / "trash" / base::random_hex(8);
  if (rename(tree.c_str(), target.c_str()) != 0 && errno != ENOENT) {
    base::throw_errno(tree.string());
  }
  release_staging();
}

void Store::discard_trash() noexcept {
  try {
    for (const fs::path& entry : list_entries(root_ / "trash")) {
      if (unlink(entry.c_str()) == 0) continue;
      // Two that remove one tree would trip over each other's steps and both give up.
      if (const auto lock = try_lock_entry(entry)) base::remove_tree_quietly(entry);
    }
  } catch (...) {  // what is left is the next command's
  }
}

}  // namespace storage
