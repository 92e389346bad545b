// Layers: directories that never change once an image has them, each shared by all images that have
// it.
#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "storage/database.h"
#include "storage/layer_use.h"
#include "storage/locks.h"
#include "storage/store.h"

namespace storage {
namespace {

// Keys and digests become names of files.
void check_key(const LayerKey& key) {
  if (!oci::is_sha256("sha256:" + key)) {
    throw base::Error(base::ErrorKind::kInvalid, "\"" + key + "\" can't be a layer's key");
  }
}

void rename_to(const fs::path& from, const fs::path& to) {
  base::check(rename(from.c_str(), to.c_str()), "rename to " + to.string());
}

}  // namespace

// `boot` is empty once the layer is known to be on disk; before, it names the boot in which it was
// written, and the row means nothing in another.
bool Store::has_layer(const LayerKey& key) {
  std::string boot;
  {
    Statement query = database_->prepare("SELECT boot FROM layers WHERE key=?");
    query.bind(key);
    if (!query.step()) return false;
    boot = query.text(0);
  }
  return boot.empty() || boot == base::boot_id();
}

void Store::publish_layer(const LayerKey& key, const oci::DiffId& id, const fs::path& staged,
                          std::uint64_t size, std::string_view record, const fs::path& beside) {
  check_key(key);
  const std::string boot = base::boot_id();
  const fs::path folder = root_ / "layers" / key;
  // One writer at a time looks and renames, so what is at `folder` without a valid row belongs to
  // nobody: a publisher was killed here, or the power went before the layer was synced.
  Transaction transaction(*database_);
  if (has_layer(key)) {
    move_to_trash(staged);
    if (!beside.empty()) move_to_trash(beside);
    return;
  }
  move_to_trash(folder);
  if (beside.empty()) {
    base::check(mkdir(folder.c_str(), 0700), folder.string());
  } else {
    rename_to(beside, folder);
  }
  rename_to(staged, folder / "diff");
  database_->prepare("INSERT OR REPLACE INTO layers VALUES(?,?,?,?,?,?)")
      .bind_all(key, id.hex(), size, base::now(), boot, record)
      .run();
  transaction.commit();
  release_staging();
}

std::string Store::load_layer_record(const LayerKey& key) {
  Statement query = database_->prepare("SELECT record FROM layers WHERE key=?");
  query.bind(key);
  if (!query.step()) {
    throw base::Error(base::ErrorKind::kNotFound, "no layer " + key.substr(0, 12));
  }
  return query.text(0);
}

std::uint64_t Store::layer_size(const LayerKey& key) {
  Statement query = database_->prepare("SELECT size FROM layers WHERE key=?");
  query.bind(key);
  return query.step() ? static_cast<std::uint64_t>(query.integer(0)) : 0;
}

base::UniqueFd Store::hold_layers() {
  return *lock_file(root_ / "locks" / "layers", LockKind::kShared, LockWait::kYes);
}

base::UniqueFd Store::lock_layer(const LayerKey& key) {
  check_key(key);
  return *lock_file(root_ / "locks" / key, LockKind::kExclusive, LockWait::kYes);
}

std::optional<base::UniqueFd> Store::try_lock_layer(const LayerKey& key) {
  check_key(key);
  return lock_file(root_ / "locks" / key, LockKind::kExclusive, LockWait::kNo);
}

}  // namespace storage
