#include "engine/volumes.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/time.h"
#include "engine/tree_copy.h"

namespace engine {
namespace {

constexpr std::size_t kNameBytes = 32;  // 64 digits, as docker's anonymous volumes
constexpr char kStagingPrefix[] = ".copy-";

bool is_volume(const MountOption& mount) { return mount.kind == MountOption::Kind::kVolume; }

bool is_anonymous_name(const std::string& name) {
  return name.size() == 2 * kNameBytes &&
         name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

void check_volume_name(const std::string& name) {
  const bool good =
      name.size() >= 2 && name.size() <= 255 &&
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
          std::string::npos &&
      name[0] != '.' && name[0] != '_' && name[0] != '-';
  if (good) return;
  throw base::Error(base::ErrorKind::kInvalid,
                    "\"" + name +
                        "\" includes invalid characters for a local volume name, only "
                        "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host "
                        "directory, use absolute path");
}

bool is_empty_directory(const fs::path& path) { return fs::is_empty(path); }

void remove_stale_copies(const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with(kStagingPrefix)) {
      base::remove_tree(entry.path());
    }
  }
}

void fill_from_image(const fs::path& volume, const std::string& target, const ImageTree& tree) {
  const base::UniqueFd root = tree.open_merged();
  const auto source = base::find_in_root(root.get(), target, O_PATH | O_DIRECTORY);
  if (!source) return;
  const fs::path staging = volume.parent_path() / (kStagingPrefix + base::random_hex(8));
  base::make_dirs(staging, 0755);
  base::Cleanup discard([&] { base::remove_tree_quietly(staging); });
  const base::UniqueFd folder = base::open_file(staging, O_RDONLY | O_DIRECTORY);
  copy_tree(source->get(), folder.get());
  // rename(2) over a directory works only while that is empty: whoever was faster wins.
  if (rename(staging.c_str(), volume.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST) {
    base::throw_errno(volume.string());
  }
}

void check_bind_source(const MountOption& mount) {
  struct stat info = {};
  if (stat(mount.source.c_str(), &info) == 0) return;
  if (mount.create_source) return base::make_dirs(mount.source);
  throw base::Error(
      base::ErrorKind::kInvalid,
      "invalid mount config for type \"bind\": bind source path does not exist: " + mount.source);
}

}  // namespace

void name_volumes(ContainerOptions& options, const std::vector<std::string>& image_volumes) {
  for (const std::string& target : image_volumes) {
    const std::string clean = clean_destination(target);
    const auto covers = [&](const MountOption& mount) {
      return clean_destination(mount.target) == clean;
    };
    if (std::any_of(options.mounts.begin(), options.mounts.end(), covers)) continue;
    MountOption mount;
    mount.kind = MountOption::Kind::kVolume;
    mount.target = target;
    options.mounts.push_back(std::move(mount));
  }
  for (MountOption& mount : options.mounts) {
    if (!is_volume(mount)) continue;
    if (mount.source.empty()) {
      mount.source = base::random_hex(kNameBytes);
    } else {
      check_volume_name(mount.source);
    }
  }
}

void make_volumes(storage::Store& store, const ContainerOptions& options, const ImageTree& tree) {
  for (const MountOption& mount : options.mounts) {
    if (!is_volume(mount)) continue;
    if (!store.find_volume(mount.source)) {
      store.add_volume({.name = mount.source,
                        .anonymous = is_anonymous_name(mount.source),
                        .labels = "{}",
                        .created = base::now()});
    }
    const fs::path volume = store.volume_dir(mount.source);
    if (mount.no_copy || !is_empty_directory(volume)) continue;
    base::while_doing("fill volume " + mount.source, [&] {
      remove_stale_copies(volume.parent_path());
      fill_from_image(volume, mount.target, tree);
    });
  }
}

std::vector<ResolvedMount> resolve_mounts(storage::Store& store, const ContainerOptions& options,
                                          BindSource bind_source) {
  std::vector<ResolvedMount> mounts;
  for (const MountOption& mount : options.mounts) {
    ResolvedMount resolved{.option = mount, .source = {}};
    if (is_volume(mount)) {
      resolved.source = store.volume_dir(mount.source);
    } else if (mount.kind == MountOption::Kind::kBind) {
      if (bind_source == BindSource::kNeeded) check_bind_source(mount);
      resolved.source = mount.source;
    }
    mounts.push_back(std::move(resolved));
  }
  return mounts;
}

void remove_anonymous_volumes(storage::Store& store, const ContainerOptions& options) {
  for (const MountOption& mount : options.mounts) {
    if (!is_volume(mount)) continue;
    const auto row = store.find_volume(mount.source);
    if (!row || !row->anonymous) continue;
    const auto containers = store.list_containers();
    const auto uses = [&](const storage::ContainerRow& other) {
      return other.options.find(mount.source) != std::string::npos;
    };
    if (std::none_of(containers.begin(), containers.end(), uses)) {
      store.remove_volume(mount.source);
    }
  }
}

}  // namespace engine
