#include "engine/volumes.h"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

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

// The directory of a volume, or what its driver options say to mount.
void resolve_volume(storage::Store& store, ResolvedMount& mount) {
  const std::string& name = mount.option.source;
  const auto row = store.find_volume(name);
  auto options = parse_texts(row ? row->options : render_labels(mount.option.volume_options));
  mount.source = store.volume_dir(name);
  if (options.empty()) return;
  std::vector<std::string> words = split_mount_options(options["o"]);
  const auto is_bind = [](const std::string& word) { return word == "bind" || word == "rbind"; };
  if (std::any_of(words.begin(), words.end(), is_bind)) {
    mount.source = options["device"];
    mount.option.readonly =
        mount.option.readonly || std::find(words.begin(), words.end(), "ro") != words.end();
    return;
  }
  if (!mount.option.subpath.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "volume-subpath of volume " + name + ", which is mounted by its options");
  }
  mount.source.clear();
  mount.file_system = options["type"];
  mount.device = options["device"];
  mount.file_system_options = std::move(words);
}

struct VolumesFrom {
  std::string name;
  bool readonly = false;
};

VolumesFrom parse_volumes_from(const std::string& text) {
  const std::size_t colon = text.find(':');
  const std::string mode = colon == std::string::npos ? "rw" : text.substr(colon + 1);
  if (text.empty() || colon == 0) {
    throw base::Error(base::ErrorKind::kInvalid, "malformed volumes-from specification: " + text);
  }
  bool readonly = false;
  for (const std::string& word : split_mount_options(mode)) {
    readonly = readonly || word == "ro";
    if (word != "ro" && word != "rw" && word != "z" && word != "Z") {
      throw base::Error(base::ErrorKind::kInvalid, "invalid mode: " + mode);
    }
  }
  return {.name = text.substr(0, colon), .readonly = readonly};
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
    auto row = store.find_volume(mount.source);
    if (!row) {
      row = store.add_volume({.name = mount.source,
                              .anonymous = is_anonymous_name(mount.source),
                              .labels = render_labels(mount.volume_labels),
                              .created = base::now(),
                              .options = render_labels(mount.volume_options)});
    }
    // What has a file system of its own is not there before it is mounted.
    if (mount.no_copy || !mount.subpath.empty() || row->options != "{}") continue;
    const fs::path volume = store.volume_dir(mount.source);
    if (!is_empty_directory(volume)) continue;
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
      resolve_volume(store, resolved);
    } else if (mount.kind == MountOption::Kind::kBind) {
      if (bind_source == BindSource::kNeeded) check_bind_source(mount);
      resolved.source = mount.source;
    }
    struct stat info = {};
    if (mount.id_mapped && stat(resolved.source.c_str(), &info) == 0) {
      resolved.owner_uid = info.st_uid;
      resolved.owner_gid = info.st_gid;
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
    try {
      store.remove_volume(mount.source);
    } catch (const base::Error& error) {
      // Another container has it, or another command was faster.
      if (error.kind() != base::ErrorKind::kConflict &&
          error.kind() != base::ErrorKind::kNotFound) {
        throw;
      }
    }
  }
}

void add_volumes_from(storage::Store& store, ContainerOptions& options) {
  std::vector<MountOption> mounts;
  const auto add = [&](const MountOption& mount) {
    const std::string target = clean_destination(mount.target);
    const auto same = [&](const MountOption& other) {
      return clean_destination(other.target) == target;
    };
    if (std::any_of(options.mounts.begin(), options.mounts.end(), same)) return;
    std::erase_if(mounts, same);  // what is named last wins
    mounts.push_back(mount);
  };
  for (const std::string& text : options.volumes_from) {
    const auto [name, readonly] = parse_volumes_from(text);
    const auto row = store.find_container(name);
    if (!row) throw base::Error(base::ErrorKind::kNotFound, "No such container: " + name);
    for (MountOption mount : parse_options(row->options).mounts) {
      if (mount.kind == MountOption::Kind::kTmpfs) continue;
      mount.readonly = mount.readonly || readonly;
      add(mount);
    }
  }
  options.volumes_from.clear();
  options.mounts.insert(options.mounts.begin(), mounts.begin(), mounts.end());
}

void check_volume_driver(const std::string& driver) {
  if (driver.empty() || driver == "local") return;
  throw base::Error(base::ErrorKind::kNotFound, "error looking up volume plugin " + driver +
                                                    ": plugin \"" + driver + "\" not found");
}

void check_volume_options(const std::string& name,
                          const std::map<std::string, std::string>& options) {
  const auto refuse = [&](const std::string& text) {
    throw base::Error(base::ErrorKind::kInvalid, "create " + name + ": " + text);
  };
  for (const auto& [key, value] : options) {
    if (key != "type" && key != "device" && key != "o") refuse("invalid option: \"" + key + "\"");
  }
  if (options.empty()) return;
  for (const char* key : {"device", "type"}) {
    if (!options.contains(key)) refuse("missing required option: \"" + std::string(key) + "\"");
  }
}

storage::VolumeRow create_volume(storage::Store& store, const VolumeRequest& request) {
  check_volume_driver(request.driver);
  const bool anonymous = request.name.empty();
  const std::string name = anonymous ? base::random_hex(kNameBytes) : request.name;
  if (!anonymous) {
    base::while_doing("create " + name, [&] { check_volume_name(name); });
  }
  check_volume_options(name, request.options);
  return store.add_volume({.name = name,
                           .anonymous = anonymous || is_anonymous_name(name),
                           .labels = render_labels(request.labels),
                           .created = base::now(),
                           .options = render_labels(request.options)});
}

std::map<std::string, std::string> parse_texts(const std::string& json) {
  const auto document = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  std::map<std::string, std::string> texts;
  if (!document.is_object()) return texts;
  for (const auto& [key, value] : document.items()) {
    if (value.is_string()) texts[key] = value.get<std::string>();
  }
  return texts;
}

bool is_anonymous_name(const std::string& name) {
  return name.size() == 2 * kNameBytes &&
         name.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace engine
