#include "runtime/checkpoint_outside.h"

#include <algorithm>
#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "oci/json.h"
#include "runtime/cgroup_files.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using nlohmann::json;
using Words = std::vector<std::string>;

constexpr char kManifest[] = "sampan.json";  // ours, among criu's images

struct MountLine {
  std::string id, root, target, type;
};

std::vector<MountLine> read_mounts(pid_t pid) {
  std::vector<MountLine> mounts;
  const std::string text = base::read_file("/proc/" + std::to_string(pid) + "/mountinfo");
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const auto words = split_words(std::string_view(text).substr(at, end - at));
    at = end + 1;
    const auto dash = std::find(words.begin(), words.end(), "-");
    if (words.size() < 7 || dash == words.end() || dash + 1 == words.end()) continue;
    mounts.push_back({.id = words[0], .root = words[3], .target = words[4], .type = *(dash + 1)});
  }
  return mounts;
}

std::string describe_descriptor(pid_t pid, int fd, const std::vector<MountLine>& mounts) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const std::string file = folder + "/fd/" + std::to_string(fd);
  std::error_code none;
  const std::string link = fs::read_symlink(file, none);
  if (none) return {};
  if (link.starts_with("pipe:") || !link.starts_with('/')) return link;
  const std::string info = base::find_file(folder + "/fdinfo/" + std::to_string(fd)).value_or("");
  const std::size_t at = info.find("mnt_id:");
  if (at == std::string::npos) return {};
  const auto words = split_words(std::string_view(info).substr(at, info.find('\n', at) - at));
  const std::string& id = words.at(1);
  const bool inside = std::any_of(mounts.begin(), mounts.end(),
                                  [&](const MountLine& each) { return each.id == id; });
  struct stat status = {};
  if (inside || stat(file.c_str(), &status) != 0) return {};
  char name[64] = {};
  std::snprintf(name, sizeof name, "file[%x:%llx]", static_cast<unsigned>(std::stoul(id)),
                static_cast<unsigned long long>(status.st_ino));
  return name;
}

std::string namespace_id(const std::string& path) {
  struct stat status = {};
  base::check(stat(path.c_str(), &status), path);
  return std::to_string(status.st_ino);
}

Outside parse_manifest(const json& value) {
  return {.mounts = value.at("mounts"),
          .masked = value.at("masked"),
          .cgroups = value.at("cgroups"),
          .descriptors = value.at("descriptors"),
          .network = {},
          .processes = {}};
}

}  // namespace

Outside find_outside(const oci::RuntimeSpec& spec, pid_t pid) {
  Outside outside;
  const std::vector<MountLine> mounts = read_mounts(pid);
  const auto is_mounted = [&](const std::string& target) {
    return std::any_of(mounts.begin(), mounts.end(),
                       [&](const MountLine& each) { return each.target == target; });
  };
  for (const oci::Mount& mount : spec.mounts) {
    const bool bind = std::any_of(mount.options.begin(), mount.options.end(), [](const auto& word) {
      return word == "bind" || word == "rbind";
    });
    const std::string target = fs::path(mount.destination).lexically_normal();
    if (bind && is_mounted(target)) outside.mounts.push_back(target);
  }
  for (const MountLine& each : mounts) {
    if (each.type == "cgroup2") outside.cgroups.push_back(each.target);
  }
  for (const std::string& path : spec.linux_.masked_paths) {
    const bool masked = std::any_of(mounts.begin(), mounts.end(), [&](const MountLine& each) {
      return each.target == path && each.root == "/null";
    });
    if (masked) outside.masked.push_back(path);
  }
  for (const oci::Namespace& each : spec.linux_.namespaces) {
    if (each.type == oci::NamespaceType::kNetwork) outside.network = each.path;
    if (each.type == oci::NamespaceType::kPid) outside.processes = each.path;
  }
  for (int fd = 0; fd < 3; ++fd) {
    outside.descriptors.push_back(describe_descriptor(pid, fd, mounts));
  }
  return outside;
}

Words plan_dump_external(const Outside& outside) {
  Words external;
  for (const auto& targets : {outside.mounts, outside.masked, outside.cgroups}) {
    for (const std::string& target : targets) external.push_back("mnt[" + target + "]:" + target);
  }
  for (const std::string& name : outside.descriptors) {
    if (name.starts_with("file[")) external.push_back(name);
  }
  if (!outside.network.empty()) {
    external.push_back("net[" + namespace_id(outside.network) + "]:" + kOutsideNetwork);
  }
  if (!outside.processes.empty()) {
    external.push_back("pid[" + namespace_id(outside.processes) + "]:" + kOutsideProcesses);
  }
  return external;
}

void save_manifest(const fs::path& images, const Outside& outside) {
  const json value = {{"mounts", outside.mounts},
                      {"masked", outside.masked},
                      {"cgroups", outside.cgroups},
                      {"descriptors", outside.descriptors}};
  base::make_dirs(images, 0700);
  base::write_file(images / kManifest, value.dump(), 0600);
}

void remove_manifest(const fs::path& images) noexcept { unlink((images / kManifest).c_str()); }

Outside load_manifest(const fs::path& images) {
  const auto text = base::find_file(images / kManifest, 1U << 20U);
  if (!text) {
    throw Error(ErrorKind::kNotFound,
                images.string() + ": no checkpoint of ours: " + kManifest + " is missing");
  }
  try {
    return parse_manifest(oci::parse_json(*text));
  } catch (const json::exception&) {
    throw Error(ErrorKind::kCorrupt,
                (images / kManifest).string() + ": not as checkpoint wrote it");
  }
}

Words plan_restore_external(const oci::RuntimeSpec& spec, const Outside& outside,
                            const Cgroups& groups) {
  Words external;
  for (const oci::Mount& mount : spec.mounts) {
    const std::string target = fs::path(mount.destination).lexically_normal();
    if (std::find(outside.mounts.begin(), outside.mounts.end(), target) != outside.mounts.end()) {
      external.push_back("mnt[" + target + "]:" + mount.source);
    }
  }
  for (const std::string& target : outside.masked) {
    external.push_back("mnt[" + target + "]:/dev/null");
  }
  for (const std::string& target : outside.cgroups) {
    external.push_back("mnt[" + target + "]:" + groups.paths.at(0));
  }
  return external;
}

}  // namespace runtime
