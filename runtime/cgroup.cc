#include "runtime/cgroup.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "runtime/cgroup_files.h"
#include "runtime/cgroup_limits.h"

namespace runtime {
namespace {

using Failure = CgroupWrite::Failure;
using Kind = CgroupWrite::Kind;

void sleep_milliseconds(long milliseconds) {
  const timespec time = {.tv_sec = 0, .tv_nsec = milliseconds * 1000000};
  nanosleep(&time, nullptr);
}

// Makes `path` and what is missing above it. Whoever removes an empty parent at the same time only
// makes us start again.
bool make_group(const std::string& path) {
  constexpr int kRounds = 100;
  for (int round = 0;; ++round) {
    if (mkdir(path.c_str(), 0755) == 0) return true;
    if (errno == EEXIST) return false;
    if (errno != ENOENT || round == kRounds) base::throw_errno("make cgroup " + path);
    try {
      base::make_dirs(parent_of(path));
    } catch (const base::Error& error) {
      if (error.errno_value() != ENOENT) throw;
    }
  }
}

void refuse_inhabited(const std::string& path) {
  if (!base::find_file(path + "/cgroup.procs").value_or("").empty()) {
    throw base::Error(base::ErrorKind::kConflict,
                      "cgroup " + path + " has processes in it already");
  }
}

// In a cgroup namespace the root that we see is an ordinary group, and one with processes can't
// have controllers in its children (cgroups(7), "no internal processes"). Like every engine inside
// a container we make room: its processes, which are all of our own container, go one level down.
void evacuate(const std::string& group) {
  const std::string refuge = group + "/init";
  base::trace("runtime", "move the processes of " + group + " to " + refuge);
  make_group(refuge);
  for (int round = 0; round < 10; ++round) {  // some may fork meanwhile
    const auto pids = split_words(base::read_file(group + "/cgroup.procs"));
    if (pids.empty()) return;
    for (const std::string& pid : pids) write_cgroup_file(refuge + "/cgroup.procs", pid);
  }
}

bool is_namespace_root(const std::string& group) {
  const std::string self = base::find_file("/proc/self/cgroup").value_or("");
  const bool at_root = self.starts_with("0::/\n") || self.find("\n0::/\n") != std::string::npos;
  // The hierarchy's true root has no cgroup.type.
  return at_root && access((group + "/cgroup.type").c_str(), F_OK) == 0;
}

int enable_missing(const CgroupWrite& write) {
  const auto enabled = split_words(base::find_file(write.file).value_or(""));
  std::string missing;
  for (const std::string& word : split_words(write.value)) {
    if (std::find(enabled.begin(), enabled.end(), word.substr(1)) != enabled.end()) continue;
    missing += (missing.empty() ? "" : " ") + word;
  }
  if (missing.empty()) return 0;
  const int failure = write_cgroup_file(write.file, missing);
  const std::string group = parent_of(write.file);
  if (failure != EBUSY || !is_namespace_root(group)) return failure;
  evacuate(group);
  return write_cgroup_file(write.file, missing);
}

int inherit_if_empty(const CgroupWrite& write) {
  const auto content = base::find_file(write.file);
  if (!content) return ENOENT;
  if (!split_words(*content).empty()) return 0;
  return write_cgroup_file(write.file, base::read_file(write.value));
}

// The file that was written last stays open: device rules go into one, a write each.
class PlainWriter {
 public:
  int write(const CgroupWrite& what) {
    if (!fd_ || file_ != what.file) {
      fd_.reset(open(what.file.c_str(), O_WRONLY | O_CLOEXEC));
      if (!fd_) return errno;
      file_ = what.file;
    }
    return write_cgroup_value(fd_.get(), what.value);
  }

 private:
  base::UniqueFd fd_;
  std::string file_;
};

int apply_write(const CgroupWrite& write, PlainWriter& writer) {
  switch (write.kind) {
    case Kind::kPlain:
      return writer.write(write);
    case Kind::kInheritIfEmpty:
      return inherit_if_empty(write);
    case Kind::kEnableMissing:
      return enable_missing(write);
  }
  return 0;
}

[[noreturn]] void throw_write(const CgroupWrite& write, int failure) {
  base::throw_errno("write \"" + write.value + "\" to " + write.file, failure);
}

base::UniqueFd open_directory(const std::string& path) {
  return base::open_file(path, O_RDONLY | O_DIRECTORY);
}

base::UniqueFd open_tasks(const std::string& file) { return base::open_file(file, O_WRONLY); }

// The v2 group of a process as a path below where v2 is mounted here.
std::string group_of_process(pid_t pid, const std::string& fallback) {
  const auto text = base::find_file("/proc/" + std::to_string(pid) + "/cgroup");
  const CgroupHost host = detect_cgroups();
  if (!text || !host.v2) return fallback;
  const std::size_t line = text->starts_with("0::") ? 0 : text->find("\n0::");
  if (line == std::string::npos) return fallback;
  const std::size_t begin = text->find("::", line) + 2;
  return host.v2->mount_point + text->substr(begin, text->find('\n', begin) - begin);
}

// One attempt at a group and everything below it; false while some process is still in it.
bool remove_group(const std::string& path) {
  if (rmdir(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return true;
  if (errno != EBUSY && errno != ENOTEMPTY) base::throw_errno("remove cgroup " + path);
  for_each_group(path, [](const GroupEntry& group) {
    unlinkat(group.parent_fd, group.name, AT_REMOVEDIR);  // what is still busy shows in the end
  });
  return access(path.c_str(), F_OK) != 0;
}

}  // namespace

void apply_cgroup_writes(const std::vector<CgroupWrite>& writes) {
  PlainWriter writer;
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const CgroupWrite& write = writes[i];
    const bool has_next = i + 1 < writes.size();
    int failure = apply_write(write, writer);
    if (write.failure == Failure::kTryNext && failure != ENOENT && has_next) ++i;
    if (write.failure == Failure::kTryNext && failure == ENOENT && has_next) continue;
    if (write.failure == Failure::kRetryAfterNext && failure == EINVAL && has_next) {
      if (const int next = apply_write(writes[++i], writer)) throw_write(writes[i], next);
      failure = apply_write(write, writer);
    }
    if (failure == 0 || write.failure == Failure::kIgnored) continue;
    if (failure == ENOENT && write.failure == Failure::kOptionalFile) continue;
    throw_write(write, failure);
  }
}

Cgroups apply_cgroups(const CgroupPlan& plan, TaskFiles task_files) {
  std::vector<std::string> made;
  base::Cleanup discard([&] {
    for (const std::string& path : made) rmdir(path.c_str());
  });
  Cgroups groups;
  for (const std::string& directory : plan.directories) {
    if (make_group(directory)) {
      made.push_back(directory);
    } else if (!plan.adopts) {
      refuse_inhabited(directory);
    }
    groups.paths.push_back(directory);
  }
  apply_cgroup_writes(plan.writes);
  if (task_files == TaskFiles::kOpened) {
    for (const std::string& file : plan.task_files) groups.task_fds.push_back(open_tasks(file));
  }
  if (!plan.clone_into.empty()) groups.clone_into = open_directory(plan.clone_into);
  if (plan.device_program) {
    attach_device_program(groups.clone_into.get(), compile_device_program(*plan.device_program));
  }
  discard.dismiss();
  return groups;
}

CgroupJoin open_cgroups(const std::vector<std::string>& paths, pid_t init) {
  CgroupJoin join;
  for (const std::string& path : paths) {
    if (!is_cgroup2(path)) {
      join.task_fds.push_back(open_tasks(path + "/tasks"));
      continue;
    }
    const bool delegates =
        !split_words(base::find_file(path + "/cgroup.subtree_control").value_or("")).empty();
    join.clone_into = open_directory(delegates && init > 0 ? group_of_process(init, path) : path);
  }
  return join;
}

void remove_cgroups(const std::vector<std::string>& paths, SharedParent parent) {
  constexpr long kWaits[] = {1, 2, 5, 10, 20, 50, 100, 150, 150};
  std::vector<std::string> left = paths;
  for (const long wait : kWaits) {
    std::erase_if(left, remove_group);
    if (left.empty()) break;
    sleep_milliseconds(wait);
  }
  std::erase_if(left, remove_group);
  if (!left.empty()) {
    throw base::Error(base::ErrorKind::kConflict, "cgroup " + left.front() + " is busy");
  }
  if (parent == SharedParent::kKeep) return;
  for (const std::string& path : paths) {
    const std::string above = parent_of(path);
    // A sibling keeps it (EBUSY); one that is just being made starts again on ENOENT.
    if (above.ends_with('/' + std::string(kSharedCgroup))) rmdir(above.c_str());
  }
}

}  // namespace runtime
