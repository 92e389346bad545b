#include "storage/schema.h"

#include <array>
#include <fcntl.h>
#include <string>
#include <sys/file.h>

#include "base/error.h"
#include "base/files.h"
#include "storage/database.h"

namespace storage {
namespace {

// Every opening parses all of this, so there is little of it: no index that only slow commands
// would use (but kImageList), and no column types, which SQLite does not need: numbers and texts
// are kept as they are bound.
constexpr char kTables[] = R"sql(
CREATE TABLE meta(key PRIMARY KEY,value)WITHOUT ROWID;
CREATE TABLE images(id PRIMARY KEY,manifest_digest,size,created,pulled,hidden,diff_ids,layer_keys,
manifest,config)WITHOUT ROWID;
CREATE TABLE names(repository,tag,digest,image,PRIMARY KEY(repository,tag,digest))WITHOUT ROWID;
CREATE TABLE layers(key PRIMARY KEY,diff_id,size,created,boot,record)WITHOUT ROWID;
CREATE TABLE blobs(digest PRIMARY KEY,diff_id)WITHOUT ROWID;
CREATE TABLE containers(id PRIMARY KEY,name,image,status,created,started,finished,init_pid,
init_start,monitor_pid,monitor_start,boot,exit_code,oom_killed,auto_remove,image_name,command,error,
ports)WITHOUT ROWID;
CREATE TABLE options(id PRIMARY KEY,labels,options)WITHOUT ROWID;
CREATE UNIQUE INDEX container_names ON containers(name);
CREATE INDEX removing ON containers(id)WHERE status=4;
CREATE TABLE leases(network,address,container,PRIMARY KEY(network,address))WITHOUT ROWID;
CREATE INDEX leases_of ON leases(container);
CREATE TABLE networks(name PRIMARY KEY,driver,options,created)WITHOUT ROWID;
CREATE TABLE volumes(name PRIMARY KEY,anonymous,labels,created)WITHOUT ROWID;
CREATE TABLE events(id INTEGER PRIMARY KEY,time,type,action,actor,attributes);
)sql";

// Blobs as files: what they take, where they came from, how they can be made again. When an image
// was used last stands apart from its row, which is long and would be written anew at each start.
constexpr char kCache[] = R"sql(
ALTER TABLE blobs ADD COLUMN size DEFAULT 0;
ALTER TABLE blobs ADD COLUMN kept DEFAULT 0;
ALTER TABLE blobs ADD COLUMN used DEFAULT 0;
ALTER TABLE blobs ADD COLUMN origin DEFAULT '';
ALTER TABLE blobs ADD COLUMN recipe DEFAULT '';
CREATE TABLE image_use(image PRIMARY KEY,used)WITHOUT ROWID;
)sql";

// Networks have ids and labels, as docker's. What the containers on a network are called is looked
// up by their monitors, by network and name.
constexpr char kNetworks[] = R"sql(
ALTER TABLE networks ADD COLUMN id DEFAULT '';
ALTER TABLE networks ADD COLUMN labels DEFAULT '{}';
UPDATE networks SET id=lower(hex(randomblob(32)));
CREATE TABLE hosts(network,name,container,address,address6,PRIMARY KEY(network,name,container))
WITHOUT ROWID;
CREATE INDEX hosts_of ON hosts(container);
)sql";

// Restart policies: how often the monitor has started the container again since a user did, and
// whether a user was the last to stop it.
constexpr char kRestarts[] = R"sql(
ALTER TABLE containers ADD COLUMN restarts DEFAULT 0;
ALTER TABLE containers ADD COLUMN stopped DEFAULT 0;
)sql";

// Indexes as served, and which manifests they name.
constexpr char kIndexes[] = "CREATE TABLE indexes(digest PRIMARY KEY,manifests,bytes)WITHOUT ROWID";
constexpr char kVolumeOptions[] = "ALTER TABLE volumes ADD COLUMN options DEFAULT '{}';";

// What `images` shows of rows whose texts are long: with ten thousand images it read 34 MB without.
constexpr char kImageList[] = "CREATE INDEX image_list ON images(hidden,created DESC,id,size);";

// On a full disk images and containers can still be removed: the log, which takes a checkpoint at
// a quarter of this, never asks for a new block. Not every file system can; then it is only a wish.
constexpr std::int64_t kReservedLog = 1 << 20;

// kMigrations[n] makes version n + 1 out of version n.
constexpr std::array<const char*, kSchemaVersion> kMigrations = {
    kTables, kCache, kNetworks, kIndexes, kVolumeOptions, kRestarts, kImageList};

std::int64_t version_of(Database& database) {
  Statement query = database.prepare("PRAGMA user_version");
  query.step();
  return query.integer(0);
}

void migrate(Database& database) {
  // Changing to the write-ahead log asks for the whole file at once and does not wait for it as a
  // transaction does, so those who come first at the same moment stand in line here.
  const base::UniqueFd folder =
      base::open_file(database.file().parent_path(), O_RDONLY | O_DIRECTORY);
  base::check(flock(folder.get(), LOCK_EX), "flock " + database.file().parent_path().string());
  const std::int64_t version = version_of(database);
  if (version == kSchemaVersion) return;
  if (version == 0) {
    database.execute(("PRAGMA page_size=" + std::to_string(kPageSize)).c_str());
    database.execute("PRAGMA journal_mode=WAL");
  }
  Transaction transaction(database);
  for (auto next = static_cast<std::size_t>(version); next < kMigrations.size(); ++next) {
    database.execute(kMigrations[next]);
  }
  database.execute(("PRAGMA user_version=" + std::to_string(kSchemaVersion)).c_str());
  transaction.commit();
  // From here on the files exist for good: only their contents will be synced.
  database.checkpoint(0);
  database.reserve_log(kReservedLog);
  base::check(fsync(folder.get()), "fsync " + database.file().parent_path().string());
}

}  // namespace

void prepare_schema(Database& database) {
  const std::int64_t version = version_of(database);
  if (version > kSchemaVersion) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      database.file().string() + ": written by a newer sampan (schema " +
                          std::to_string(version) + ", this one knows " +
                          std::to_string(kSchemaVersion) + ")");
  }
  if (version < kSchemaVersion) migrate(database);
  // A commit may be lost with the power but never tears the database ("PRAGMA synchronous",
  // sqlite.org); those that must not be lost call Database::sync().
  database.execute("PRAGMA synchronous=NORMAL");
}

}  // namespace storage
