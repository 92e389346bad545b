// Images: rows with config and manifest as served, and the names that point to them.
#include <algorithm>
#include <fcntl.h>
#include <set>
#include <tuple>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "storage/database.h"
#include "storage/event_log.h"
#include "storage/image_rows.h"
#include "storage/layer_use.h"
#include "storage/store.h"

namespace storage {
namespace {

constexpr char kSelectImage[] =
    "SELECT id,manifest_digest,size,created,pulled,diff_ids,layer_keys,manifest,config FROM images "
    "WHERE id=?";
constexpr char kSelectVisible[] =
    "SELECT id,manifest_digest,size,created,pulled,diff_ids,layer_keys,manifest,config FROM images "
    "WHERE hidden=0 ORDER BY created DESC,id";

ImageRow read_image(const Statement& query) {
  ImageRow row{.id = oci::ImageId::from_hex(query.text(0)),
               .manifest_digest = oci::Digest::from_hex(query.text(1)),
               .config = query.text(8),
               .manifest = query.text(7),
               .layers = {},
               .layer_keys = split_words(query.text(6)),
               .size = static_cast<std::uint64_t>(query.integer(2)),
               .created = query.integer(3),
               .pulled = query.integer(4)};
  for (const std::string& hex : split_words(query.text(5))) {
    row.layers.push_back(oci::DiffId::from_hex(hex));
  }
  return row;
}

std::string join_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += text.empty() ? word : " " + word;
  return text;
}

// Of the image's layers, those that are not known to be on disk. Throws where one is missing.
std::set<LayerKey> unsynced_layers(Store& store, const std::vector<LayerKey>& keys) {
  std::set<LayerKey> unsynced;
  for (const LayerKey& key : keys) {
    if (!store.has_layer(key)) {
      throw base::Error(base::ErrorKind::kUnavailable,
                        "layer " + key.substr(0, 12) + " was removed by another command");
    }
    Statement query = store.database().prepare("SELECT boot<>'' FROM layers WHERE key=?");
    query.bind(key);
    if (query.step() && query.integer(0) != 0) unsynced.insert(key);
  }
  return unsynced;
}

// An image that is there keeps the layers that it has: a container may run on them.
void insert_image(Database& database, const ImageRow& image) {
  std::vector<std::string> diff_ids;
  for (const oci::DiffId& id : image.layers) diff_ids.push_back(id.hex());
  const std::string diff_text = join_words(diff_ids);
  const std::string key_text = join_words(image.layer_keys);
  database
      .prepare(
          "INSERT INTO images VALUES(?,?,?,?,?,0,?,?,?,?)ON CONFLICT(id)DO UPDATE SET hidden=0,"
          "manifest_digest=excluded.manifest_digest,pulled=excluded.pulled,"
          "manifest=excluded.manifest")
      .bind_all(image.id.hex(), image.manifest_digest.hex(), image.size, image.created,
                image.pulled, diff_text, key_text, image.manifest, image.config)
      .run();
}

// Moves the tag, where there is one, and adds the digest.
void insert_names(Database& database, const oci::ImageId& image, const oci::Reference& name,
                  const std::optional<oci::Digest>& digest) {
  static constexpr char kInsert[] = "INSERT OR REPLACE INTO names VALUES(?,?,?,?)";
  const std::string repository = name.repository();
  // Of "name:tag@digest" the digest decides and the tag is left alone.
  if (name.tag() && !name.digest()) {
    database.prepare(kInsert).bind_all(repository, *name.tag(), "", image.hex()).run();
  }
  if (!digest) return;
  database.prepare(kInsert).bind_all(repository, "", digest->hex(), image.hex()).run();
}

}  // namespace

// One sync of the file system costs a tenth of an fsync(2) for each file (storage/FORMAT.md).
void Store::sync_file_system() {
  watch_file_system();
  base::check(syncfs(root_fd_.get()), "syncfs " + root_.string());
}

std::optional<ImageRow> Store::find_image(std::string_view name_or_id) {
  const auto found = resolve_image(*database_, name_or_id);
  if (!found) return std::nullopt;
  Statement query = database_->prepare(kSelectImage);
  query.bind(found->id);
  if (!query.step()) return std::nullopt;  // removed since
  return read_image(query);
}

ImageRow Store::load_image(const oci::ImageId& id) {
  Statement query = database_->prepare(kSelectImage);
  query.bind(id.hex());
  if (!query.step()) throw_no_such_image(id.str());
  return read_image(query);
}

base::Nanoseconds Store::image_used(const oci::ImageId& image) {
  Statement query = database_->prepare("SELECT used FROM image_use WHERE image=?");
  query.bind(image.hex());
  return query.step() ? query.integer(0) : 0;
}

std::optional<oci::ImageId> Store::find_image_of_manifest(const oci::Digest& manifest) {
  Statement query =
      database_->prepare("SELECT id FROM images WHERE manifest_digest=? AND hidden=0");
  query.bind(manifest.hex());
  if (!query.step()) return std::nullopt;
  return oci::ImageId::from_hex(query.text(0));
}

std::vector<ImageRow> Store::list_images() {
  Statement query = database_->prepare(kSelectVisible);
  std::vector<ImageRow> rows;
  while (query.step()) rows.push_back(read_image(query));
  return rows;
}

std::vector<ImageName> Store::list_names() {
  // By repository, then image, then tags before digests: a tag is shown together with the digest
  // that its repository has for the same image.
  Statement query = database_->prepare(
      "SELECT repository,tag,digest,image FROM names ORDER BY repository,image,tag='',tag,digest");
  std::vector<ImageName> names;
  const auto is_of = [](const ImageName& name, const std::string& repository,
                        const oci::ImageId& image) {
    return name.repository == repository && name.image == image;
  };
  while (query.step()) {
    ImageName name{.repository = query.text(0),
                   .tag = query.text(1),
                   .digest = {},
                   .image = oci::ImageId::from_hex(query.text(3))};
    if (!name.tag.empty()) {
      names.push_back(std::move(name));
      continue;
    }
    name.digest = oci::Digest::from_hex(query.text(2));
    bool shown = false;
    for (auto tagged = names.rbegin();
         tagged != names.rend() && is_of(*tagged, name.repository, name.image) &&
         !tagged->tag.empty();
         ++tagged) {
      if (tagged->digest) break;
      tagged->digest = name.digest;
      shown = true;
    }
    if (!shown) names.push_back(std::move(name));
  }
  std::sort(names.begin(), names.end(), [](const ImageName& a, const ImageName& b) {
    return std::tie(a.repository, a.tag, a.digest, a.image) <
           std::tie(b.repository, b.tag, b.digest, b.image);
  });
  return names;
}

// All layers are there and known to be on disk, then `insert` adds the rows, in one transaction.
void Store::add_image_rows(const ImageRow& image, const std::function<void()>& insert) {
  for (;;) {
    const std::set<LayerKey> unsynced = unsynced_layers(*this, image.layer_keys);
    if (!unsynced.empty()) sync_file_system();
    Transaction transaction(*database_);
    // Between the look and the transaction a layer may have been removed and published again.
    const std::set<LayerKey> now = unsynced_layers(*this, image.layer_keys);
    if (!std::includes(unsynced.begin(), unsynced.end(), now.begin(), now.end())) continue;
    for (const LayerKey& key : now) {
      database_->prepare("UPDATE layers SET boot='' WHERE key=?").bind(key).run();
    }
    insert_image(*database_, image);
    insert();
    transaction.commit();
    database_->sync();
    return;
  }
}

void Store::add_image(const ImageRow& image, const oci::Reference& name,
                      const oci::Digest& repo_digest) {
  add_image_rows(image, [&] {
    insert_names(*database_, image.id, name, repo_digest);
    log_event(*database_, "image", "pull", name.familiar(),
              render_attributes({{"name", name.familiar_repository()}}));
  });
}

void Store::add_local_image(const ImageRow& image, const std::optional<oci::Reference>& name,
                            std::string_view action) {
  add_image_rows(image, [&] {
    if (name) insert_names(*database_, image.id, *name, std::nullopt);
    log_event(*database_, "image", action, image.id.str(),
              render_attributes({{"name", name ? name->familiar() : ""}}));
  });
}

void Store::tag_image(const oci::ImageId& image, const oci::Reference& name) {
  if (name.digest()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "refusing to create a tag with a digest reference");
  }
  Transaction transaction(*database_);
  Statement query = database_->prepare("SELECT 1 FROM images WHERE id=? AND hidden=0");
  query.bind(image.hex());
  if (!query.step()) throw_no_such_image(image.str());
  insert_names(*database_, image, name, std::nullopt);
  log_event(*database_, "image", "tag", image.str(),
            render_attributes({{"name", name.familiar()}}));
  transaction.commit();
}

}  // namespace storage
