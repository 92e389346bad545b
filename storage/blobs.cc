// Blobs: compressed layers as files, a cache; their rows stay when the files go.
#include <cerrno>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "storage/database.h"
#include "storage/store.h"

namespace storage {
namespace {

constexpr std::uint64_t kSectorBytes = 512;  // of st_blocks, stat(2)

BlobRow read_blob(const Statement& query) {
  return {.digest = oci::Digest::from_hex(query.text(0)),
          .layer = oci::DiffId::from_hex(query.text(1)),
          .size = static_cast<std::uint64_t>(query.integer(2)),
          .kept = query.integer(3) != 0,
          .used = query.integer(4),
          .origin = query.text(5),
          .recipe = query.text(6)};
}

std::vector<BlobRow> read_all(Statement query) {
  std::vector<BlobRow> rows;
  while (query.step()) rows.push_back(read_blob(query));
  return rows;
}

}  // namespace

void Store::remember_blob(const oci::Digest& blob, const oci::DiffId& layer) {
  Transaction transaction(*database_);
  database_
      ->prepare(
          "INSERT INTO blobs(digest,diff_id)VALUES(?,?)ON CONFLICT(digest)DO UPDATE SET "
          "diff_id=excluded.diff_id")
      .bind_all(blob.hex(), layer.hex())
      .run();
  transaction.commit();
}

std::optional<oci::DiffId> Store::find_layer_of_blob(const oci::Digest& blob) {
  Statement query = database_->prepare("SELECT diff_id FROM blobs WHERE digest=?");
  query.bind(blob.hex());
  if (!query.step()) return std::nullopt;
  return oci::DiffId::from_hex(query.text(0));
}

// Under the write lock, as all who look at rows and files: who drops the blob meanwhile waits.
void Store::keep_blob(const BlobRow& blob, const fs::path& file) {
  Transaction transaction(*database_);
  const fs::path target = blob_path(blob.digest);
  base::check(rename(file.c_str(), target.c_str()), "rename to " + target.string());
  database_
      ->prepare(
          "INSERT INTO blobs(digest,diff_id,size,kept,used,origin,recipe)VALUES(?,?,?,1,?,?,?)"
          "ON CONFLICT(digest)DO UPDATE SET diff_id=excluded.diff_id,size=excluded.size,kept=1,"
          "used=excluded.used,origin=CASE excluded.origin WHEN''THEN origin ELSE excluded.origin "
          "END,recipe=CASE excluded.recipe WHEN''THEN recipe ELSE excluded.recipe END")
      .bind_all(blob.digest.hex(), blob.layer.hex(), blob.size,
                blob.used == 0 ? base::now() : blob.used, blob.origin, blob.recipe)
      .run();
  transaction.commit();
}

std::optional<BlobRow> Store::find_blob(const oci::Digest& blob) {
  Statement query = database_->prepare(
      "SELECT digest,diff_id,size,kept,used,origin,recipe FROM blobs WHERE digest=?");
  query.bind(blob.hex());
  if (!query.step()) return std::nullopt;
  return read_blob(query);
}

std::vector<BlobRow> Store::list_blobs() {
  return read_all(database_->prepare(
      "SELECT digest,diff_id,size,kept,used,origin,recipe FROM blobs ORDER BY used,digest"));
}

std::vector<BlobRow> Store::blobs_of_layer(const oci::DiffId& id) {
  Statement query = database_->prepare(
      "SELECT digest,diff_id,size,kept,used,origin,recipe FROM blobs WHERE diff_id=? "
      "ORDER BY kept DESC,used DESC,digest");
  query.bind(id.hex());
  return read_all(std::move(query));
}

void Store::touch_blob(const oci::Digest& blob) {
  Transaction transaction(*database_);
  database_->prepare("UPDATE blobs SET used=? WHERE digest=?")
      .bind_all(base::now(), blob.hex())
      .run();
  transaction.commit();
}

void Store::set_blob_recipe(const oci::Digest& blob, std::string_view recipe) {
  Transaction transaction(*database_);
  database_->prepare("UPDATE blobs SET recipe=? WHERE digest=?").bind_all(recipe, blob.hex()).run();
  transaction.commit();
}

// The row first, the file before the commit: a kill between leaves a row that says "kept" and no
// file, which readers find out, and never the other way round.
std::uint64_t Store::drop_blob(const oci::Digest& blob) {
  Transaction transaction(*database_);
  database_->prepare("UPDATE blobs SET kept=0 WHERE digest=?").bind(blob.hex()).run();
  const fs::path path = blob_path(blob);
  struct stat info = {};
  const bool exists = lstat(path.c_str(), &info) == 0;
  if (exists && unlink(path.c_str()) != 0 && errno != ENOENT) base::throw_errno(path.string());
  transaction.commit();
  return exists ? static_cast<std::uint64_t>(info.st_blocks) * kSectorBytes : 0;
}

}  // namespace storage
