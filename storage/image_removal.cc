// docker's rmi: what is untagged, what is deleted and what is refused, in docker's words (moby,
// daemon/images/image_delete.go).
#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/text.h"
#include "oci/platform.h"
#include "storage/database.h"
#include "storage/event_log.h"
#include "storage/image_mounts.h"
#include "storage/image_rows.h"
#include "storage/indexes.h"
#include "storage/layer_use.h"
#include "storage/store.h"
#include "storage/unused_images.h"

namespace storage {
namespace {

std::string short_id(std::string_view id) { return std::string(id.substr(0, 12)); }

// Containers made from the image; the first of each sort.
struct Users {
  std::optional<std::string> running, stopped;
  const std::optional<std::string>& any() const { return running ? running : stopped; }
};

Users find_users(Database& database, std::string_view image) {
  Users users;
  Statement query = database.prepare("SELECT id,status FROM containers WHERE image=?");
  query.bind(image);
  while (query.step()) {
    const auto status = static_cast<ContainerStatus>(query.integer(1));
    const bool is_running = status == ContainerStatus::kRunning ||
                            status == ContainerStatus::kPaused ||
                            status == ContainerStatus::kRestarting;
    auto& slot = is_running ? users.running : users.stopped;
    if (!slot) slot = query.text(0);
  }
  return users;
}

// At most one tag, and no digest but in that tag's repository.
bool is_single_reference(const std::vector<NameRow>& names) {
  std::set<std::string> repositories;
  for (const NameRow& name : names) repositories.insert(name.repository);
  const auto tags = std::count_if(names.begin(), names.end(),
                                  [](const NameRow& name) { return !name.is_digest(); });
  return tags <= 1 && repositories.size() <= 1;
}

bool has_tag(const std::vector<NameRow>& names) {
  return std::any_of(names.begin(), names.end(),
                     [](const NameRow& name) { return !name.is_digest(); });
}

[[noreturn]] void refuse(std::string_view id, const char* force, const std::string& reason) {
  throw base::Error(base::ErrorKind::kConflict,
                    "conflict: unable to delete " + short_id(id) + " (" + force + ") - " + reason);
}

void refuse_if_used(const Users& users, std::string_view id, Store::Force force) {
  if (users.running) {
    refuse(id, "cannot be forced",
           "image is being used by running container " + short_id(*users.running));
  }
  if (users.stopped && force == Store::Force::kNo) {
    refuse(id, "must be forced",
           "image is being used by stopped container " + short_id(*users.stopped));
  }
}

void untag(Database& database, const std::string& id, const NameRow& name,
           Store::Untagged& result) {
  database.prepare("DELETE FROM names WHERE repository=? AND tag=? AND digest=?")
      .bind_all(name.repository, name.tag, name.digest)
      .run();
  if (name.is_digest()) forget_unnamed_index(database, name.digest);
  result.names.push_back(familiar_name(name));
  log_event(database, "image", "untag", "sha256:" + id,
            render_attributes({{"name", familiar_name(name)}}));
}

// Takes one name away, and the digests that its repository has for the image once no tag of that
// repository is left. True where that was the image's last name.
bool untag_one(Database& database, const std::string& id, const NameRow& name,
               Store::Untagged& result) {
  untag(database, id, name, result);
  std::vector<NameRow> rest = names_of_image(database, id);
  const bool has_tag_here = std::any_of(rest.begin(), rest.end(), [&](const NameRow& other) {
    return !other.is_digest() && other.repository == name.repository;
  });
  if (!name.is_digest() && !has_tag_here) {
    std::erase_if(rest, [&](const NameRow& other) {
      if (other.repository != name.repository) return false;
      untag(database, id, other, result);
      return true;
    });
  }
  return rest.empty();
}

bool is_mounted(Database& database, const std::string& id) {
  const auto mounts = list_image_mounts(database.file().parent_path());
  return std::any_of(mounts.begin(), mounts.end(),
                     [&](const ImageMount& mount) { return mount.image.hex() == id; });
}

void refuse_if_mounted(Database& database, const std::string& id) {
  for (const ImageMount& mount : list_image_mounts(database.file().parent_path())) {
    if (mount.image.hex() == id) {
      refuse(id, "cannot be forced",
             "image is mounted at " + base::printable(mount.directory, 4096));
    }
  }
}

// An image under a stopped container disappears from view, but its rows and layers stay until that
// container goes (remove_container()).
void delete_image(Database& database, const std::string& id, const Users& users, OwnLayers own,
                  Store::Untagged& result) {
  refuse_if_mounted(database, id);
  if (users.any()) {
    database.prepare("UPDATE images SET hidden=1 WHERE id=?").bind(id).run();
    database.prepare("DELETE FROM names WHERE image=?").bind(id).run();
  } else {
    result.layers = forget_image(database, id, own);
  }
  result.deleted = oci::ImageId::from_hex(id);
  log_event(database, "image", "delete", "sha256:" + id,
            render_attributes({{"name", "sha256:" + id}}));
}

// Changes the rows; what goes from the disk is the caller's.
Store::Untagged remove_rows(Database& database, std::string_view name_or_id, Store::Force force,
                            OwnLayers own) {
  Store::Untagged result;
  const auto found = resolve_image(database, name_or_id);
  if (!found) throw_no_such_image(name_or_id);
  const std::string& id = found->id;
  const Users users = find_users(database, id);
  const std::vector<NameRow> names = names_of_image(database, id);

  if (found->name) {
    if (force == Store::Force::kNo && is_single_reference(names) && users.any()) {
      throw base::Error(base::ErrorKind::kConflict,
                        "conflict: unable to remove repository reference \"" +
                            std::string(name_or_id) + "\" (must force) - container " +
                            short_id(*users.any()) + " is using its referenced image " +
                            short_id(id));
    }
    // Under a running container the name goes all the same and the image stays, nameless.
    if (!untag_one(database, id, *found->name, result) || users.running) return result;
    delete_image(database, id, users, own, result);
    return result;
  }
  refuse_if_used(users, id, force);
  if (!is_single_reference(names) && force == Store::Force::kNo) {
    refuse(id, "must be forced", "image is referenced in multiple repositories");
  }
  for (const NameRow& name : names) untag(database, id, name, result);
  delete_image(database, id, users, own, result);
  return result;
}

// One transaction of rows, then the directories of layers that went with them.
template <class RemoveRows>
Store::Untagged remove_with_layers(Store& store, RemoveRows&& remove) {
  const auto own = try_own_layers(store.root());
  Database& database = store.database();
  Store::Untagged result;
  {
    Transaction transaction(database);
    result = remove(database, own ? OwnLayers::kYes : OwnLayers::kNo);
    transaction.commit();
  }
  if (result.layers.empty() || !own) return result;
  database.sync();
  trash_layers(store, result.layers);
  return result;
}

// The platform that a name goes on to stand for: the host's before another one.
std::optional<oci::ImageId> choose_heir(Store& store, const oci::ImageId& leaving,
                                        const oci::Digest& index) {
  const std::vector<oci::Platform> runnable = oci::preferences_of(oci::Platform::of_host());
  std::optional<oci::ImageId> heir;
  std::size_t best = runnable.size() + 1;
  for (const oci::ImageId& id : images_of_index(store, index)) {
    if (id == leaving) continue;
    const ImageRow row = store.load_image(id);
    const auto rank = static_cast<std::size_t>(
        std::find_if(runnable.begin(), runnable.end(),
                     [&](const oci::Platform& each) { return is_for_platform(row, each); }) -
        runnable.begin());
    if (rank >= best) continue;
    best = rank;
    heir = id;
  }
  return heir;
}

// Tags and the index's digest of repositories that know the image by the index.
void hand_over_names(Database& database, const oci::ImageId& from, const oci::ImageId& to,
                     const oci::Digest& index) {
  database
      .prepare(
          "UPDATE names SET image=?1 WHERE image=?2 AND (tag<>'' OR digest=?3) AND repository IN "
          "(SELECT repository FROM names WHERE tag='' AND digest=?3)")
      .bind_all(to.hex(), from.hex(), index.hex())
      .run();
}

}  // namespace

Store::Untagged Store::remove_image(std::string_view name_or_id, Force force) {
  return remove_with_layers(*this, [&](Database& database, OwnLayers own) {
    return remove_rows(database, name_or_id, force, own);
  });
}

Store::Untagged remove_image_for(Store& store, std::string_view name_or_id,
                                 const oci::Platform& platform, Store::Force force) {
  return remove_with_layers(store, [&](Database& database, OwnLayers own) {
    const auto named = resolve_image(database, name_or_id);
    if (!named) throw_no_such_image(name_or_id);
    const auto image = find_image_for(store, name_or_id, platform);
    if (!image) throw_no_such_platform(name_or_id, platform);
    const std::string& id = image->id.hex();
    const auto named_id = oci::ImageId::from_hex(named->id);
    // Of an image that two indexes have nobody knows which tag came with which.
    const std::vector<oci::Digest> indexes = indexes_of_image(store, image->id);
    const auto heir = indexes.size() == 1 ? choose_heir(store, image->id, indexes.front())
                                          : std::optional<oci::ImageId>();
    if (image->id == named_id && (!named->name || !heir)) {
      return remove_rows(database, name_or_id, force, own);
    }
    refuse_if_used(find_users(database, id), id, force);
    if (heir) hand_over_names(database, image->id, *heir, indexes.front());
    if (force == Store::Force::kNo && has_tag(names_of_image(database, id))) {
      refuse(id, "must be forced", "image is referenced in multiple repositories");
    }
    return remove_rows(database, "sha256:" + id, force, own);
  });
}

std::optional<Store::Untagged> remove_unused_image(Store& store, const oci::ImageId& image,
                                                   Unused how) {
  const auto own = try_own_layers(store.root());
  const std::string& id = image.hex();
  Database& database = store.database();
  Store::Untagged result;
  {
    Transaction transaction(database);
    Statement visible = database.prepare("SELECT 1 FROM images WHERE id=? AND hidden=0");
    visible.bind(id);
    if (!visible.step() || find_users(database, id).any()) return std::nullopt;
    if (is_mounted(database, id)) return std::nullopt;
    const std::vector<NameRow> names = names_of_image(database, id);
    if (how == Unused::kUntagged && (has_tag(names) || images_beside_tags(store).contains(image))) {
      return std::nullopt;
    }
    for (const NameRow& name : names) untag(database, id, name, result);
    delete_image(database, id, {}, own ? OwnLayers::kYes : OwnLayers::kNo, result);
    transaction.commit();
  }
  if (result.layers.empty() || !own) return result;
  database.sync();
  trash_layers(store, result.layers);
  return result;
}

}  // namespace storage
