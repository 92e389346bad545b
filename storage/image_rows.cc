#include "storage/image_rows.h"

#include <algorithm>

#include "base/error.h"
#include "storage/database.h"

namespace storage {
namespace {

bool is_hex(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
}

std::string_view without_algorithm(std::string_view id) {
  constexpr std::string_view kAlgorithm = "sha256:";
  if (id.substr(0, kAlgorithm.size()) == kAlgorithm) id.remove_prefix(kAlgorithm.size());
  return id;
}

std::optional<FoundImage> find_by_full_id(Database& database, std::string_view id) {
  Statement query = database.prepare("SELECT id FROM images WHERE id=? AND hidden=0");
  query.bind(id);
  if (!query.step()) return std::nullopt;
  return FoundImage{.id = query.text(0), .name = {}};
}

std::optional<FoundImage> find_by_name(Database& database, std::string_view text) {
  const oci::Reference reference = oci::Reference::parse(text);
  // Of "name:tag@digest" the digest decides.
  NameRow name{.repository = reference.repository(),
               .tag = reference.digest() ? "" : reference.tag().value_or("latest"),
               .digest = reference.digest() ? reference.digest()->hex() : ""};
  Statement query =
      database.prepare("SELECT image FROM names WHERE repository=? AND tag=? AND digest=?");
  query.bind_all(name.repository, name.tag, name.digest);
  if (!query.step()) return std::nullopt;
  return FoundImage{.id = query.text(0), .name = std::move(name)};
}

std::optional<FoundImage> find_by_prefix(Database& database, std::string_view prefix) {
  Statement query =
      database.prepare("SELECT id FROM images WHERE id>=?1 AND id<?1||'g' AND hidden=0 LIMIT 2");
  query.bind(prefix);
  if (!query.step()) return std::nullopt;
  FoundImage found{.id = query.text(0), .name = {}};
  if (query.step()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "image id prefix " + std::string(prefix) + " is ambiguous");
  }
  return found;
}

}  // namespace

std::string familiar_name(const NameRow& name) {
  return oci::Reference::parse(name.repository +
                               (name.is_digest() ? "@sha256:" + name.digest : ":" + name.tag))
      .familiar();
}

std::optional<FoundImage> resolve_image(Database& database, std::string_view name_or_id) {
  const std::string_view id = without_algorithm(name_or_id);
  if (is_hex(id) && id.size() == 64) {
    // 64 digits are never a name (distribution/reference, "identifier").
    return find_by_full_id(database, id);
  }
  if (auto found = find_by_name(database, name_or_id)) return found;
  if (is_hex(id)) return find_by_prefix(database, id);
  return std::nullopt;
}

void throw_no_such_image(std::string_view name_or_id) {
  std::string name(name_or_id);
  if (const std::string_view id = without_algorithm(name_or_id); !(is_hex(id) && id.size() == 64)) {
    name = oci::Reference::parse(name_or_id).familiar();
  }
  throw base::Error(base::ErrorKind::kNotFound, "No such image: " + name);
}

std::vector<NameRow> names_of_image(Database& database, std::string_view id) {
  Statement query = database.prepare(
      "SELECT repository,tag,digest FROM names WHERE image=? ORDER BY "
      "tag='',repository,tag,digest");
  query.bind(id);
  std::vector<NameRow> names;
  while (query.step()) {
    names.push_back({.repository = query.text(0), .tag = query.text(1), .digest = query.text(2)});
  }
  return names;
}

}  // namespace storage
