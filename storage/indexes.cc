#include "storage/indexes.h"

#include "base/error.h"
#include "base/text.h"
#include "oci/image_config.h"
#include "storage/database.h"
#include "storage/event_log.h"
#include "storage/image_rows.h"
#include "storage/layer_use.h"

namespace storage {
namespace {

// A pass over all rows rather than one for each manifest: their number is not ours.
std::vector<oci::ImageId> images_of_manifests(Database& database,
                                              const std::set<std::string>& manifests) {
  std::vector<oci::ImageId> images;
  if (manifests.empty()) return images;
  Statement query = database.prepare("SELECT id,manifest_digest FROM images WHERE hidden=0");
  while (query.step()) {
    if (manifests.contains(query.text(1))) images.push_back(oci::ImageId::from_hex(query.text(0)));
  }
  return images;
}

void add_words(std::set<std::string>& set, std::string_view text) {
  for (std::string& word : split_words(text)) set.insert(std::move(word));
}

}  // namespace

std::optional<std::string> find_index(Store& store, const oci::Digest& index) {
  Statement query = store.database().prepare("SELECT bytes FROM indexes WHERE digest=?");
  query.bind(index.hex());
  return query.step() ? std::optional(query.text(0)) : std::nullopt;
}

std::vector<oci::Digest> indexes_of_image(Store& store, const oci::ImageId& image) {
  Statement query = store.database().prepare(
      "SELECT DISTINCT indexes.digest FROM names JOIN indexes ON indexes.digest=names.digest "
      "WHERE names.image=?");
  query.bind(image.hex());
  std::vector<oci::Digest> found;
  while (query.step()) found.push_back(oci::Digest::from_hex(query.text(0)));
  return found;
}

std::vector<oci::ImageId> images_of_index(Store& store, const oci::Digest& index) {
  std::set<std::string> manifests;
  Statement query = store.database().prepare("SELECT manifests FROM indexes WHERE digest=?");
  query.bind(index.hex());
  if (query.step()) add_words(manifests, query.text(0));
  return images_of_manifests(store.database(), manifests);
}

std::set<oci::ImageId> images_beside_tags(Store& store) {
  std::set<std::string> manifests;
  Statement query = store.database().prepare(
      "SELECT DISTINCT manifests FROM indexes JOIN names AS named ON named.digest=indexes.digest "
      "JOIN names AS tagged ON tagged.image=named.image AND tagged.tag<>''");
  while (query.step()) add_words(manifests, query.text(0));
  const auto images = images_of_manifests(store.database(), manifests);
  return {images.begin(), images.end()};
}

bool is_for_platform(const ImageRow& image, const oci::Platform& platform) {
  const oci::Platform wanted = oci::normalize(platform);
  const oci::Platform have = oci::normalize(oci::parse_image_config(image.config).platform);
  return have.os == wanted.os && have.architecture == wanted.architecture &&
         (wanted.variant.empty() || have.variant == wanted.variant);
}

std::optional<ImageRow> find_image_for(Store& store, std::string_view name_or_id,
                                       const oci::Platform& platform) {
  auto image = store.find_image(name_or_id);
  if (!image || is_for_platform(*image, platform)) return image;
  for (const oci::Digest& index : indexes_of_image(store, image->id)) {
    for (const oci::ImageId& id : images_of_index(store, index)) {
      ImageRow other = store.load_image(id);
      if (is_for_platform(other, platform)) return other;
    }
  }
  return std::nullopt;
}

void throw_no_such_platform(std::string_view name_or_id, const oci::Platform& platform) {
  throw base::Error(base::ErrorKind::kNotFound,
                    "image with reference " + base::printable(name_or_id) +
                        " was found but does not provide the specified platform (" +
                        oci::normalize(platform).str() + ")");
}

ImageRow load_image_for(Store& store, std::string_view name_or_id,
                        const std::optional<oci::Platform>& platform) {
  auto named = store.find_image(name_or_id);
  if (!named) throw_no_such_image(name_or_id);
  if (!platform) return std::move(*named);
  if (auto image = find_image_for(store, name_or_id, *platform)) return std::move(*image);
  throw_no_such_platform(name_or_id, *platform);
}

namespace {

// One that is known may be led on to further manifests by another index that it contains.
void insert_index(Database& database, const KeptIndex& index) {
  const std::string& digest = index.digest.hex();
  std::set<std::string> manifests;
  for (const oci::Digest& manifest : index.manifests) manifests.insert(manifest.hex());
  {
    Statement query = database.prepare("SELECT manifests FROM indexes WHERE digest=?");
    query.bind(digest);
    if (query.step()) add_words(manifests, query.text(0));
  }
  std::string text;
  for (const std::string& manifest : manifests) text += (text.empty() ? "" : " ") + manifest;
  database.prepare("INSERT OR REPLACE INTO indexes VALUES(?,?,?)")
      .bind_all(digest, text, index.bytes)
      .run();
}

}  // namespace

void keep_index(Store& store, const KeptIndex& index, const oci::Reference& name,
                const oci::ImageId& image) {
  const std::string& digest = index.digest.hex();
  const std::string repository = name.repository();
  Database& database = store.database();
  Transaction transaction(database);
  insert_index(database, index);
  for (const KeptIndex& inner : index.inner) insert_index(database, inner);
  database
      .prepare(
          "INSERT OR IGNORE INTO names SELECT repository,'',manifest_digest,image FROM names "
          "JOIN images ON images.id=names.image WHERE repository=? AND tag='' AND digest=? AND "
          "image<>?")
      .bind_all(repository, digest, image.hex())
      .run();
  transaction.commit();
}

void add_pushed_name(Store& store, const oci::ImageId& image, const oci::Reference& name,
                     const oci::Digest& digest) {
  const std::string repository = name.repository();
  Database& database = store.database();
  Transaction transaction(database);
  database
      .prepare("INSERT OR REPLACE INTO names SELECT ?,'',?,id FROM images WHERE id=? AND hidden=0")
      .bind_all(repository, digest.hex(), image.hex())
      .run();
  log_event(database, "image", "push", name.familiar(),
            render_attributes({{"name", name.familiar_repository()}}));
  transaction.commit();
}

void forget_unnamed_index(Database& database, std::string_view digest) {
  std::set<std::string> contained;
  {
    Statement query = database.prepare(
        "SELECT manifests FROM indexes WHERE digest=?1 AND NOT EXISTS(SELECT 1 FROM names WHERE "
        "digest=?1) AND NOT EXISTS(SELECT 1 FROM indexes AS o WHERE instr(o.manifests,?1)>0)");
    query.bind(digest);
    if (!query.step()) return;
    add_words(contained, query.text(0));
  }
  database.prepare("DELETE FROM indexes WHERE digest=?").bind(digest).run();
  // Their hashes make a circle impossible, and what is deeper than a pull goes is not kept.
  for (const std::string& inner : contained) forget_unnamed_index(database, inner);
}

}  // namespace storage
