#include "engine/run_directory.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"

namespace engine {
namespace {

struct flock whole_file() {
  struct flock lock = {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

}  // namespace

std::optional<base::UniqueFd> RunDirectory::try_lock() const {
  const fs::path file = path_ / "lock";
  for (;;) {
    if (mkdir(path_.c_str(), 0711) != 0 && errno != EEXIST) base::make_dirs(path_, 0711);
    base::UniqueFd fd(open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd && errno == ENOENT) continue;  // its last owner removed the directory just now
    if (!fd) base::throw_errno(file.string());
    struct flock lock = whole_file();
    if (fcntl(fd.get(), F_OFD_SETLK, &lock) != 0) {
      if (errno == EAGAIN || errno == EACCES) return std::nullopt;
      base::throw_errno("lock " + file.string());
    }
    // What was locked must still be what the name leads to, or it is the removed one of before.
    struct stat ours = {};
    struct stat named = {};
    if (fstat(fd.get(), &ours) == 0 && stat(file.c_str(), &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev) {
      return fd;
    }
  }
}

bool RunDirectory::is_locked() const {
  const base::UniqueFd fd(open((path_ / "lock").c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return false;
  struct flock lock = whole_file();
  if (fcntl(fd.get(), F_OFD_GETLK, &lock) != 0) base::throw_errno("look at " + path_.string());
  return lock.l_type != F_UNLCK;
}

void RunDirectory::remove() const noexcept {
  try {
    // Out of the way first: nobody may lock a file in a directory that is being emptied.
    const fs::path gone = path_.parent_path() / (kGonePrefix + base::random_hex(8));
    if (rename(path_.c_str(), gone.c_str()) == 0) base::remove_tree(gone);
  } catch (const base::Error&) {  // the next command sweeps it
  }
}

}  // namespace engine
