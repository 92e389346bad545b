#include "engine/image_mount.h"

#include <cerrno>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/private_mount.h"
#include "storage/overlay.h"

namespace engine {
namespace {

storage::ImageRow load_image(Engine& engine, std::string_view name_or_id) {
  auto image = engine.store().find_image(name_or_id);
  if (!image) {
    throw base::Error(base::ErrorKind::kNotFound, "No such image: " + std::string(name_or_id));
  }
  return std::move(*image);
}

base::UniqueFd mount_layers(Engine& engine, const storage::ImageRow& image) {
  std::vector<fs::path> layers = storage::plan_overlay(engine.store(), image.layer_keys, {}).lower;
  // An overlay has at least two layers; the second one of these is empty.
  if (layers.size() == 1) layers.push_back(engine.store().root() / "empty");
  if (layers[0] == layers[1]) layers[1] = engine.store().staging_dir();
  base::UniqueFd tree = mount_detached_overlay(layers);
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  base::check(
      syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes),
      "mount_setattr");
  return tree;
}

fs::path own_directory(Engine& engine, const oci::ImageId& image) {
  return engine.config().state / "mounts" / image.hex();
}

}  // namespace

std::vector<storage::ImageMount> list_image_mounts(Engine& engine) {
  return storage::list_image_mounts(engine.store().root());
}

std::string mount_image(Engine& engine, std::string_view name_or_id, const std::string& directory) {
  // From here until the record is written nobody removes layers.
  const base::UniqueFd hold = engine.store().hold_layers();
  const storage::ImageRow image = load_image(engine, name_or_id);
  const std::string place =
      directory.empty() ? own_directory(engine, image.id).string() : directory;
  for (const storage::ImageMount& mount : list_image_mounts(engine)) {
    if (mount.image == image.id && mount.directory == place) return place;
  }
  if (directory.empty()) base::make_dirs(place, 0700);
  const base::UniqueFd target = base::open_file(place, O_PATH | O_DIRECTORY);
  const base::UniqueFd tree = mount_layers(engine, image);
  // A kill between the two leaves a record without a mount, which the next look removes.
  const storage::ImageMount mount = storage::record_image_mount(
      engine.store().root(), image.id, place, storage::mount_id(tree.get()));
  base::Cleanup forget([&] { storage::forget_image_mount(mount); });
  base::check(syscall(SYS_move_mount, tree.get(), "", target.get(), "",
                      MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
              "mount at " + place);
  forget.dismiss();
  return place;
}

void unmount(Engine& engine, const storage::ImageMount& mount) {
  if (storage::mount_id(mount.directory) == mount.mount &&
      umount2(mount.directory.c_str(), UMOUNT_NOFOLLOW) != 0) {
    base::throw_errno("unmount " + mount.directory);
  }
  storage::forget_image_mount(mount);
  if (mount.directory == own_directory(engine, mount.image)) rmdir(mount.directory.c_str());
}

void unmount_image(Engine& engine, std::string_view name_or_id) {
  const storage::ImageRow image = load_image(engine, name_or_id);
  bool found = false;
  for (const storage::ImageMount& mount : list_image_mounts(engine)) {
    if (mount.image != image.id) continue;
    unmount(engine, mount);
    found = true;
  }
  if (!found) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "image " + std::string(name_or_id) + " is not mounted");
  }
}

}  // namespace engine
