#include <algorithm>
#include <filesystem>
#include <unistd.h>

#include "base/error.h"
#include "runtime/cgroup.h"

namespace runtime {
namespace {

namespace fs = std::filesystem;

bool is_in_group(const std::string& file, const std::string& directory) {
  return file.starts_with(directory + "/");
}

// Whether a directory is there and ours, or can be made.
bool may_make(const fs::path& directory) {
  fs::path existing = directory;
  while (access(existing.c_str(), F_OK) != 0 && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  return access(existing.c_str(), W_OK | X_OK) == 0;
}

bool is_device_list(const CgroupWrite& write) {
  return fs::path(write.file).filename().string().starts_with("devices.");
}

// A limit of the spec, as opposed to what a group needs anyway.
bool is_limit(const CgroupWrite& write) {
  return write.kind == CgroupWrite::Kind::kPlain && !is_device_list(write);
}

void drop_directory(CgroupPlan& plan, const std::string& directory) {
  for (const CgroupWrite& write : plan.writes) {
    if (!is_in_group(write.file, directory) || !is_limit(write)) continue;
    throw base::Error(base::ErrorKind::kUnsupported,
                      "linux.resources: " + write.file +
                          " can't be written: no cgroup there is delegated to this user");
  }
  std::erase_if(plan.writes,
                [&](const CgroupWrite& write) { return is_in_group(write.file, directory); });
  std::erase_if(plan.task_files,
                [&](const std::string& file) { return is_in_group(file, directory); });
  std::erase(plan.directories, directory);
  if (plan.clone_into == directory) {
    plan.clone_into.clear();
    plan.writes.clear();  // what is left enables controllers in its parents
  }
}

}  // namespace

CgroupPlan keep_permitted(CgroupPlan plan, std::vector<std::string>& decisions) {
  const std::vector<std::string> directories = plan.directories;
  for (const std::string& directory : directories) {
    if (may_make(directory)) continue;
    drop_directory(plan, directory);
    decisions.push_back("no cgroup " + directory + ": it is not delegated to this user");
  }
  // A write that went with a parent of such a directory, like a cpuset's, has nothing left to
  // serve.
  std::erase_if(plan.writes, [&](const CgroupWrite& write) {
    return write.kind == CgroupWrite::Kind::kInheritIfEmpty &&
           std::none_of(plan.directories.begin(), plan.directories.end(),
                        [&](const std::string& each) {
                          return is_in_group(each, fs::path(write.file).parent_path()) ||
                                 is_in_group(write.file, each);
                        });
  });
  const bool has_device_list = std::any_of(plan.writes.begin(), plan.writes.end(), is_device_list);
  if (plan.device_program || has_device_list) {
    plan.device_program.reset();
    std::erase_if(plan.writes, is_device_list);
    decisions.emplace_back(
        "no list of devices: only root sets one, and a user namespace makes "
        "no devices");
  }
  return plan;
}

}  // namespace runtime
