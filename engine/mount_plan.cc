#include "engine/mount_plan.h"

#include <algorithm>
#include <set>

#include "base/error.h"
#include "runtime/defaults.h"

namespace engine {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

std::string key_of(const std::string& option) { return option.substr(0, option.find('=')); }

// docker's: noexec,nosuid,nodev unless the user says the opposite.
oci::Mount plan_tmpfs(const MountOption& option) {
  std::vector<std::string> words = split_mount_options(option.tmpfs_options);
  const auto has = [&](const std::string& word) {
    return std::any_of(words.begin(), words.end(),
                       [&](const std::string& other) { return key_of(other) == word; });
  };
  std::vector<std::string> options;
  for (const char* word : {"noexec", "nosuid", "nodev"}) {
    if (!has(word) && !has(word + 2)) options.emplace_back(word);
  }
  options.insert(options.end(), words.begin(), words.end());
  if (option.readonly && !has("ro")) options.emplace_back("ro");
  return {.destination = clean_destination(option.target),
          .type = "tmpfs",
          .source = "tmpfs",
          .options = std::move(options)};
}

oci::Mount plan_bind(const std::string& destination, const fs::path& source, bool readonly,
                     bool recursive, const std::string& propagation) {
  return {.destination = destination,
          .type = "bind",
          .source = source.string(),
          .options = {recursive ? "rbind" : "bind", readonly ? "ro" : "rw",
                      propagation.empty() ? "rprivate" : propagation}};
}

// Whose files are whose. A volume belongs to the container's ids whatever these are on the host; a
// bind does so where it was asked for. Without a user namespace the source's owner and the
// container's user change places.
void plan_owners(const ResolvedMount& mount, const MountPlanInput& input, oci::Mount& bind) {
  const MountOption& option = mount.option;
  const bool volume = option.kind == MountOption::Kind::kVolume;
  if (!option.id_mapped && !(volume && input.has_user_namespace)) return;
  if (!option.uid_map.empty() || !option.gid_map.empty()) {
    bind.uid_mappings = option.uid_map.empty() ? option.gid_map : option.uid_map;
    bind.gid_mappings = option.gid_map.empty() ? option.uid_map : option.gid_map;
  } else if (!input.has_user_namespace) {
    if (mount.owner_uid == input.uid && mount.owner_gid == input.gid) return;
    bind.uid_mappings = plan_swap(mount.owner_uid, input.uid);
    bind.gid_mappings = plan_swap(mount.owner_gid, input.gid);
  }
  bind.options.emplace_back("idmap");
}

oci::Mount plan_device(const ResolvedMount& mount) {
  oci::Mount result = {.destination = clean_destination(mount.option.target),
                       .type = mount.file_system,
                       .source = mount.device,
                       .options = mount.file_system_options};
  if (mount.option.readonly) result.options.emplace_back("ro");
  if (result.type == "tmpfs") {
    if (!mount.option.no_copy) result.options.emplace_back("tmpcopyup");
  } else {
    // Its disk is none of the container's devices, its server is reached through the host's
    // network.
    result.options.emplace_back("x-sampan.host");
  }
  return result;
}

oci::Mount plan_mount(const ResolvedMount& mount, const MountPlanInput& input) {
  const MountOption& option = mount.option;
  if (option.kind == MountOption::Kind::kTmpfs) return plan_tmpfs(option);
  if (!mount.file_system.empty()) return plan_device(mount);
  oci::Mount bind = plan_bind(clean_destination(option.target), mount.source, option.readonly,
                              option.recursive, option.propagation);
  if (option.readonly && option.recursive && !option.shallow_readonly &&
      option.kind == MountOption::Kind::kBind) {
    bind.options.emplace_back("rro");  // docker's since 25: what is mounted below is read-only, too
  }
  // Root of a user namespace may not look into every folder of the host.
  if (input.has_user_namespace) bind.options.emplace_back("x-sampan.host");
  if (!option.subpath.empty()) bind.options.push_back("x-sampan.subpath=" + option.subpath);
  plan_owners(mount, input, bind);
  return bind;
}

void set_option(std::vector<std::string>& options, const std::string& word) {
  const auto same = [&](const std::string& other) { return key_of(other) == key_of(word); };
  options.erase(std::remove_if(options.begin(), options.end(), same), options.end());
  options.push_back(word);
}

void make_writable(std::vector<std::string>& options) {
  options.erase(std::remove(options.begin(), options.end(), "ro"), options.end());
  set_option(options, "rw");
}

// /dev/shm belongs to the IPC namespace, though the kernel does not know that.
void share_memory(oci::Mount& mount, const std::string& ipc_mode,
                  const std::string& namespace_file) {
  if (ipc_mode == "host") {
    mount = plan_bind(mount.destination, "/dev/shm", false, true, {});
  } else if (!namespace_file.empty()) {
    mount = plan_bind(mount.destination, "/dev/shm", false, true, {});
    mount.options.push_back("x-sampan.namespace=" + namespace_file);
  }
}

std::vector<oci::Mount> plan_defaults(const ContainerOptions& options,
                                      const MountPlanInput& input) {
  std::vector<oci::Mount> mounts;
  for (oci::Mount& mount : runtime::default_mounts()) {
    if (mount.destination == "/dev/shm") {
      if (options.ipc_mode == "none") continue;
      set_option(mount.options, "size=" + std::to_string(options.shm_size));
      share_memory(mount, options.ipc_mode, input.shm_namespace);
    } else if (options.privileged &&
               (mount.destination == "/sys" || mount.destination == "/sys/fs/cgroup")) {
      make_writable(mount.options);
    }
    mounts.push_back(std::move(mount));
  }
  return mounts;
}

std::ptrdiff_t depth_of(const oci::Mount& mount) {
  return std::count(mount.destination.begin(), mount.destination.end(), '/');
}

}  // namespace

std::vector<std::string> split_mount_options(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    if (end > start) words.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

std::string clean_destination(const std::string& path) {
  if (path.empty() || path[0] != '/') {
    refuse("invalid mount config: invalid mount path: '" + path + "' mount path must be absolute");
  }
  std::vector<std::string> parts;
  for (std::size_t start = 1; start < path.size();) {
    const std::size_t end = std::min(path.find('/', start), path.size());
    const std::string part = path.substr(start, end - start);
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (!part.empty() && part != ".") {
      parts.push_back(part);
    }
    start = end + 1;
  }
  std::string result;
  for (const std::string& part : parts) result += "/" + part;
  if (result.empty()) refuse("invalid mount config: destination can't be '/'");
  return result;
}

std::vector<oci::IdMapping> plan_swap(std::uint32_t one, std::uint32_t other) {
  constexpr std::uint32_t kEnd = 0xFFFFFFFF;  // -1 is nobody's id
  const std::uint32_t low = std::min(one, other);
  const std::uint32_t high = std::max(one, other);
  std::vector<oci::IdMapping> map;
  const auto keep = [&](std::uint32_t first, std::uint32_t end) {
    if (first < end) map.push_back({.container_id = first, .host_id = first, .size = end - first});
  };
  keep(0, low);
  map.push_back({.container_id = low, .host_id = high, .size = 1});
  if (high != low) {
    keep(low + 1, high);
    map.push_back({.container_id = high, .host_id = low, .size = 1});
  }
  keep(high + 1, kEnd);
  return map;
}

std::vector<oci::Mount> plan_mounts(const ContainerOptions& options, const MountPlanInput& input) {
  std::vector<oci::Mount> own;
  std::set<std::string> taken;
  for (const ResolvedMount& mount : input.mounts) {
    own.push_back(plan_mount(mount, input));
    if (!taken.insert(own.back().destination).second) {
      refuse("Duplicate mount point: " + own.back().destination);
    }
  }
  const auto add_file = [&](const char* destination, const fs::path& source, bool readonly) {
    if (source.empty() || taken.contains(destination)) return;
    own.push_back(plan_bind(destination, source, readonly, true, {}));
    // So that root of the container can change its files, as it can without a user namespace.
    if (input.has_user_namespace) {
      own.back().options.emplace_back(readonly ? "x-sampan.host" : "idmap");
    }
  };
  add_file("/etc/resolv.conf", input.resolv_conf, options.read_only);
  add_file("/etc/hostname", input.hostname, options.read_only);
  add_file("/etc/hosts", input.hosts, options.read_only);
  add_file(kInitPath, input.init_program, true);
  std::stable_sort(own.begin(), own.end(), [](const oci::Mount& a, const oci::Mount& b) {
    return depth_of(a) < depth_of(b);
  });

  std::vector<oci::Mount> mounts;
  for (oci::Mount& mount : plan_defaults(options, input)) {
    if (!taken.contains(mount.destination)) mounts.push_back(std::move(mount));
  }
  mounts.insert(mounts.end(), own.begin(), own.end());
  return mounts;
}

}  // namespace engine
