// Sweep: what killed commands left. Nothing is taken from a process that lives: staging is locked
// by its owner, layers and directories are compared with the rows under the write lock.
#include <ctime>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/trace.h"
#include "storage/database.h"
#include "storage/layer_use.h"
#include "storage/locks.h"
#include "storage/store.h"

namespace storage {
namespace {

// How long what an interrupted pull has fetched is kept for the next attempt.
constexpr std::int64_t kResumeSeconds = std::int64_t{24} * 60 * 60;

int sweep_staging(Store& store) {
  int count = 0;
  for (const fs::path& entry : list_entries(store.staging_dir())) {
    const auto lock = try_lock_entry(entry);
    if (!lock) continue;
    store.move_to_trash(entry);
    base::trace("storage", "swept " + entry.filename().string() + ": its owner is gone");
    ++count;
  }
  return count;
}

bool is_alive(const base::ProcessId& process) {
  const auto pidfd = base::open_process(process);
  return pidfd && !base::has_exited(pidfd->get());
}

// A command was killed between saying that it removes a container and having done so.
int finish_removals(Store& store) {
  std::vector<std::string> ids;
  {
    Statement query = store.database().prepare("SELECT id FROM containers WHERE status=4");
    while (query.step()) ids.push_back(query.text(0));
  }
  int count = 0;
  for (const std::string& id : ids) {
    const auto row = store.find_container(id);
    if (!row || row->status != ContainerStatus::kRemoving) continue;
    const bool this_boot = row->boot_id == base::boot_id();
    if (this_boot && (is_alive(row->init) || is_alive(row->monitor))) continue;
    store.move_to_trash(store.container_dir(id));
    store.remove_container(id);
    base::trace("storage", "finished the removal of container " + id.substr(0, 12));
    ++count;
  }
  return count;
}

// Rows that no image needs: of another boot and never synced, given up by remove_image(), or left
// by a pull that nobody took up again.
int forget_unused_layers(Store& store) {
  const auto own = try_own_layers(store.root());
  if (!own) return 0;
  Database& database = store.database();
  const std::string boot = base::boot_id();
  const std::int64_t oldest = base::now() - kResumeSeconds * 1'000'000'000;
  std::vector<LayerKey> unused;
  Transaction transaction(database);
  const std::set<LayerKey> used = layers_in_use(database);
  {
    Statement query =
        database.prepare("SELECT key FROM layers WHERE created<? OR(boot<>'' AND boot<>?)");
    query.bind_all(oldest, boot);
    while (query.step()) {
      if (LayerKey key = query.text(0); !used.contains(key)) unused.push_back(std::move(key));
    }
  }
  for (const LayerKey& key : unused) forget_layer(database, key);
  transaction.commit();
  // Their directories have no rows now and go with all others of that kind, once that is durable.
  if (!unused.empty()) database.sync();
  return 0;
}

int sweep_layers(Store& store) {
  forget_unused_layers(store);
  std::vector<LayerKey> keys;
  for (const fs::path& entry : list_entries(store.root() / "layers")) {
    keys.push_back(entry.filename());
  }
  return trash_layers(store, keys);
}

// Whether looking at each container's directory is worth it for a command that somebody waits for:
// where there are few, or where their number, which is the directory's link count less two (not on
// btrfs), is not that of the rows.
bool is_quickly_compared(Store& store) {
  constexpr nlink_t kFew = 64;
  struct stat info = {};
  if (stat((store.root() / "containers").c_str(), &info) != 0) return false;
  if (info.st_nlink <= 2 + kFew) return true;
  Statement query = store.database().prepare("SELECT count(*)FROM containers");
  query.step();
  return static_cast<std::int64_t>(info.st_nlink) - 2 != query.integer(0);
}

// Rows come before directories, so a directory without a row is of a container that is gone. The
// directories are listed first: what is made meanwhile has its row by the time rows are read.
int sweep_containers(Store& store) {
  const std::vector<fs::path> entries = list_entries(store.root() / "containers");
  if (entries.empty()) return 0;
  std::set<std::string> ids;
  {
    Statement query = store.database().prepare("SELECT id FROM containers");
    while (query.step()) ids.insert(query.text(0));
  }
  int count = 0;
  for (const fs::path& entry : entries) {
    if (ids.contains(entry.filename())) continue;
    store.move_to_trash(entry);
    base::trace("storage", "swept the directory of container " + entry.filename().string());
    ++count;
  }
  return count;
}

// Volumes hold what users can't get back: one with contents is never removed here, whatever the
// rows say.
int sweep_volumes(Store& store) {
  int count = 0;
  for (const fs::path& entry : list_entries(store.root() / "volumes")) {
    const Transaction lock(store.database());  // add_volume() makes directory and row under it
    if (store.find_volume(entry.filename().string())) continue;
    static_cast<void>(rmdir((entry / "_data").c_str()));
    if (rmdir(entry.c_str()) == 0) ++count;
  }
  return count;
}

int sweep_partials(const fs::path& root) {
  int count = 0;
  for (const fs::path& entry : list_entries(root / "blobs" / "partial")) {
    struct stat info = {};
    if (lstat(entry.c_str(), &info) != 0) continue;
    if (time(nullptr) - info.st_mtime < kResumeSeconds) continue;
    if (unlink(entry.c_str()) == 0) ++count;
  }
  return count;
}

// Rows whose file is gone, and files without a row that says "kept": of a process that was killed,
// or of layers that went while the files' removal did not come to pass. The write lock keeps others
// from adding some meanwhile.
int sweep_blobs(Store& store) {
  const std::vector<fs::path> entries = list_entries(store.root() / "blobs" / "sha256");
  Transaction lock(store.database());
  std::set<std::string> kept;
  {
    Statement query = store.database().prepare("SELECT digest FROM blobs WHERE kept");
    while (query.step()) kept.insert(query.text(0));
  }
  int count = 0;
  for (const fs::path& entry : entries) {
    if (kept.erase(entry.filename()) > 0) continue;
    store.move_to_trash(entry);
    ++count;
  }
  if (kept.empty()) return count;
  for (const std::string& hex : kept) {
    store.database().prepare("UPDATE blobs SET kept=0 WHERE digest=?").bind(hex).run();
  }
  lock.commit();
  return count;
}

void sweep_locks(const fs::path& root) {
  for (const fs::path& entry : list_entries(root / "locks")) {
    if (lock_file(entry, LockKind::kExclusive, LockWait::kNo)) unlink(entry.c_str());
  }
}

}  // namespace

int Store::sweep(Sweep how) {
  int count = static_cast<int>(list_entries(root_ / "trash").size());
  count += sweep_staging(*this) + finish_removals(*this);
  if (how != Sweep::kQuick || is_quickly_compared(*this)) count += sweep_containers(*this);
  if (how == Sweep::kQuick) return count;
  count += sweep_layers(*this) + sweep_volumes(*this);
  count += sweep_blobs(*this) + sweep_partials(root_);
  sweep_locks(root_);
  if (how == Sweep::kThorough) discard_trash();
  return count;
}

}  // namespace storage
