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

std::vector<std::string> split_options(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(',', start), text.size());
    if (end > start) words.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return words;
}

std::string key_of(const std::string& option) { return option.substr(0, option.find('=')); }

// docker's: noexec,nosuid,nodev unless the user says the opposite.
oci::Mount plan_tmpfs(const MountOption& option) {
  std::vector<std::string> words = split_options(option.tmpfs_options);
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

oci::Mount plan_mount(const ResolvedMount& mount) {
  const MountOption& option = mount.option;
  if (option.kind == MountOption::Kind::kTmpfs) return plan_tmpfs(option);
  return plan_bind(clean_destination(option.target), mount.source, option.readonly,
                   option.recursive, option.propagation);
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

std::vector<oci::Mount> plan_defaults(const ContainerOptions& options) {
  std::vector<oci::Mount> mounts = runtime::default_mounts();
  for (oci::Mount& mount : mounts) {
    if (mount.destination == "/dev/shm") {
      set_option(mount.options, "size=" + std::to_string(options.shm_size));
    } else if (options.privileged &&
               (mount.destination == "/sys" || mount.destination == "/sys/fs/cgroup")) {
      make_writable(mount.options);
    }
  }
  return mounts;
}

std::ptrdiff_t depth_of(const oci::Mount& mount) {
  return std::count(mount.destination.begin(), mount.destination.end(), '/');
}

}  // namespace

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

std::vector<oci::Mount> plan_mounts(const ContainerOptions& options, const MountPlanInput& input) {
  std::vector<oci::Mount> own;
  std::set<std::string> taken;
  for (const ResolvedMount& mount : input.mounts) {
    own.push_back(plan_mount(mount));
    if (!taken.insert(own.back().destination).second) {
      refuse("Duplicate mount point: " + own.back().destination);
    }
  }
  const auto add_file = [&](const char* destination, const fs::path& source, bool readonly) {
    if (source.empty() || taken.contains(destination)) return;
    own.push_back(plan_bind(destination, source, readonly, true, {}));
  };
  add_file("/etc/resolv.conf", input.resolv_conf, options.read_only);
  add_file("/etc/hostname", input.hostname, options.read_only);
  add_file("/etc/hosts", input.hosts, options.read_only);
  add_file(kInitPath, input.init_program, true);
  std::stable_sort(own.begin(), own.end(), [](const oci::Mount& a, const oci::Mount& b) {
    return depth_of(a) < depth_of(b);
  });

  std::vector<oci::Mount> mounts;
  for (oci::Mount& mount : plan_defaults(options)) {
    if (!taken.contains(mount.destination)) mounts.push_back(std::move(mount));
  }
  mounts.insert(mounts.end(), own.begin(), own.end());
  return mounts;
}

}  // namespace engine
