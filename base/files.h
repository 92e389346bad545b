// Files: whole-file reads and writes, directories and trees, always below a descriptor or an
// absolute path of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "base/unique_fd.h"

namespace base {

namespace fs = std::filesystem;

// open(2) and openat(2) with O_CLOEXEC added. Throw as base::check does, naming the path.
UniqueFd open_file(const fs::path& path, int flags, mode_t mode = 0);
UniqueFd open_at(int dir_fd, const fs::path& path, int flags, mode_t mode = 0);

// Opens `path` as seen by a process whose root is `root_fd`: openat2(2) with RESOLVE_IN_ROOT and
// RESOLVE_NO_MAGICLINKS, retried on EAGAIN. The only way in which a path that came from an image or
// a user's container is opened. O_CLOEXEC is added. Throws as base::check does.
UniqueFd open_in_root(int root_fd, const fs::path& path, int flags, mode_t mode = 0);

// As open_in_root; nullopt where openat2 says ENOENT, ENOTDIR or ELOOP.
std::optional<UniqueFd> find_in_root(int root_fd, const fs::path& path, int flags);

// The whole content, at most `limit` bytes; kInvalid where there is more.
std::string read_file(const fs::path& path, std::size_t limit = 64U << 20U);
std::string read_fd(int fd, std::size_t limit = 64U << 20U);
std::optional<std::string> find_file(const fs::path& path, std::size_t limit = 64U << 20U);

// Writes everything, resuming short writes. Throws.
void write_all(int fd, std::string_view bytes);

// Creates or truncates; not atomic and not synced: for files on tmpfs, or in a directory that is
// not yet visible.
void write_file(const fs::path& path, std::string_view bytes, mode_t mode = 0644);

enum class Durability { kCached, kSynced };
// Writes "<path>.tmp-<random>" and renames it over `path`; readers see the old content or the new.
void replace_file(const fs::path& path, std::string_view bytes, mode_t mode = 0644,
                  Durability durability = Durability::kCached);

// The same for a path where nothing is yet: the file has no name before it is whole, so that a kill
// leaves none. False where there is something already. Falls back to replace_file() on file systems
// without O_TMPFILE.
bool add_file(const fs::path& path, std::string_view bytes, mode_t mode = 0644);

// mkdir -p; existing directories, and links to some, are left as they are. Throws where something
// else is in the way.
void make_dirs(const fs::path& path, mode_t mode = 0755);

// Removes a tree without following links or crossing into other names, by descriptors and without
// recursion on the call stack, so depth and racing renames can't hurt. A missing path is no error.
// Throws.
void remove_tree(const fs::path& path);
void remove_tree_quietly(const fs::path& path) noexcept;

// Bytes allocated by `path` and everything below, as `du -s` counts them, hard links once. What
// can't be read, or vanishes meanwhile, is left out.
std::uint64_t disk_usage(const fs::path& path);

// What the directory holds, in byte order, "." and ".." left out. The descriptor's own position
// does not matter and stays.
std::vector<std::string> sorted_names(int dir_fd);

// `bytes` random bytes from getrandom(2) as lower-case hexadecimal.
std::string random_hex(std::size_t bytes);

}  // namespace base
