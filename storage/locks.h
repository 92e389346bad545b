// Locks: flock(2) on directories and small files; a lock ends with its descriptor or its process.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "base/unique_fd.h"

namespace storage {

namespace fs = std::filesystem;

// Whether `path` names what `fd` has open.
bool is_still_at(int fd, const fs::path& path);

// An exclusive lock on an entry of staging or trash; nullopt where somebody has it, where it is
// gone, or where it can't be opened for locking.
std::optional<base::UniqueFd> try_lock_entry(const fs::path& path);

enum class LockKind { kShared, kExclusive };
enum class LockWait { kYes, kNo };
// A lock on a file that is created where missing and may be removed by whoever holds it
// exclusively. nullopt only with LockWait::kNo.
std::optional<base::UniqueFd> lock_file(const fs::path& path, LockKind kind, LockWait wait);

// Full paths of what is in a directory; empty where the directory is missing.
std::vector<fs::path> list_entries(const fs::path& directory);

}  // namespace storage
