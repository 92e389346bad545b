#include "storage/store.h"

#include <sys/stat.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "storage/database.h"

namespace storage {
namespace {

constexpr char kDatabaseName[] = "sampan.db";
// A log of so many pages, which some ten starts write, costs the next opening 0.1 ms
// (storage/FORMAT.md); writing it back costs three syncs of somebody who waits for nothing.
constexpr std::int64_t kPoliteLog = 256;

fs::path absolute_root(const fs::path& root) {
  if (root.empty()) throw base::Error(base::ErrorKind::kInvalid, "the store's root is empty");
  return fs::absolute(root).lexically_normal();
}

// Everything that is below the root may belong to any user and have the set-user-id bit: nobody but
// the store's owner may reach it (CVE-2021-41091 was a store whose root could be searched).
void make_layout(const fs::path& root) {
  base::make_dirs(root.parent_path());
  base::make_dirs(root, 0700);
  for (const char* name : {"blobs", "blobs/sha256", "blobs/partial", "layers", "containers",
                           "volumes", "staging", "trash", "locks", "empty"}) {
    base::make_dirs(root / name, 0700);
  }
}

std::unique_ptr<Database> open_database(const fs::path& root) {
  const fs::path file = root / kDatabaseName;
  struct stat info = {};
  // The database comes last: where it is, all directories are.
  if (stat(file.c_str(), &info) != 0) make_layout(root);
  return std::make_unique<Database>(file);
}

}  // namespace

Store::Store(const fs::path& root)
    : root_(absolute_root(root)),
      database_(base::while_doing("open the store", [this] { return open_database(root_); })) {}

Store::Store(Store&&) noexcept = default;
Store::~Store() = default;

const fs::path& Store::root() const { return root_; }
fs::path Store::layer_dir(const LayerKey& key) const { return root_ / "layers" / key / "diff"; }
fs::path Store::layer_extras(const LayerKey& key) const { return root_ / "layers" / key; }
fs::path Store::container_dir(std::string_view id) const { return root_ / "containers" / id; }
fs::path Store::volume_dir(std::string_view name) const {
  return root_ / "volumes" / name / "_data";
}
fs::path Store::blob_path(const oci::Digest& digest) const {
  return root_ / "blobs" / "sha256" / digest.hex();
}
fs::path Store::partial_path(const oci::Digest& digest) const {
  return root_ / "blobs" / "partial" / digest.hex();
}
fs::path Store::staging_dir() const { return root_ / "staging"; }

void Store::checkpoint() noexcept {
  try {
    database_->checkpoint(kPoliteLog);
  } catch (const base::Error&) {  // the log stays as it is, and the next command tries again
  }
}

Database& Store::database() { return *database_; }

}  // namespace storage
