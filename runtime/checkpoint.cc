#include "runtime/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <optional>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "oci/json.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/plan.h"
#include "runtime/state.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;
using nlohmann::json;
using Words = std::vector<std::string>;

constexpr char kManifest[] = "sampan.json";  // ours, among criu's images

// Empty where there is none.
std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (const char* folder :
       {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return {};
}

// The last thing that criu called an error and that says more than that it failed; with the place
// where all of it is.
std::string words_of_log(const fs::path& log) {
  const std::string text = base::find_file(log).value_or("");
  std::string last;
  for (std::size_t at = 0; (at = text.find("Error (", at)) != std::string::npos;) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const bool says_nothing = line.find("FAILED.") != std::string::npos ||
                              line.find("exited, status=") != std::string::npos;
    if (!says_nothing || last.empty()) last = line;
    at = end;
  }
  return (last.empty() ? std::string("no reason given") : last) + "; see " + log.string();
}

void run_criu(const CriuOptions& criu, Words words, const std::string& action,
              const std::vector<base::DescriptorMap>& descriptors) {
  const std::string program = find_program(criu.program);
  if (program.empty()) {
    throw Error(ErrorKind::kUnsupported, "checkpoint and restore need criu, and there is no " +
                                             criu.program + " here: install it");
  }
  const fs::path& work = criu.work.empty() ? criu.images : criu.work;
  base::make_dirs(criu.images, 0700);
  base::make_dirs(work, 0700);
  const std::string log = action + ".log";
  Words arguments = {program, action, "-D", criu.images, "-W", work, "-o", log, "-v4"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  arguments.insert(arguments.end(), criu.words.begin(), criu.words.end());
  // How packets are held off meanwhile; criu's own choice is iptables.
  if (find_program("iptables-restore").empty()) {
    arguments.insert(arguments.end(), {"--network-lock", "nftables"});
  }
  std::string line;
  for (const std::string& word : arguments) line += word + " ";
  base::trace("runtime", line);
  std::vector<base::DescriptorMap> map = descriptors;
  if (map.empty()) map = {{-1, 0}, {-1, 1}, {-1, 2}};
  const pid_t pid = base::spawn({.program = program,
                                 .arguments = arguments,
                                 .environment = {},
                                 .descriptors = std::move(map)});
  if (const int code = base::wait_for_child(pid); code != 0) {
    throw Error(ErrorKind::kSystem, "criu " + action + " failed: " + words_of_log(work / log));
  }
}

// What of the container is not in its own file systems, under names that restore knows again.
struct Outside {
  Words mounts;       // where a file or directory of the host is bound
  Words masked;       // where /dev/null is
  Words cgroups;      // where the container's own group of v2 is
  Words descriptors;  // of the first process's 0, 1, 2: "file[…]", "pipe:[…]", or empty
  std::string network;
};

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
  }
  for (int fd = 0; fd < 3; ++fd) {
    outside.descriptors.push_back(describe_descriptor(pid, fd, mounts));
  }
  return outside;
}

void check_can_dump(const oci::RuntimeSpec& spec) {
  if (spec.process && spec.process->terminal) {
    throw Error(ErrorKind::kUnsupported,
                "process.terminal: a container with a terminal can't be checkpointed");
  }
}

void check_can_restore(const oci::RuntimeSpec& spec, const CreateOptions& options) {
  check_can_dump(spec);
  const oci::Hooks& hooks = spec.hooks;
  if (!hooks.prestart.empty() || !hooks.create_runtime.empty() || !hooks.create_container.empty() ||
      !hooks.start_container.empty()) {
    throw Error(ErrorKind::kUnsupported, "hooks: restore runs none that come before the start");
  }
  if (options.systemd_bus) {
    throw Error(ErrorKind::kUnsupported, "restore together with --systemd-cgroup");
  }
}

std::string namespace_id(const std::string& path) {
  struct stat status = {};
  base::check(stat(path.c_str(), &status), path);
  return std::to_string(status.st_ino);
}

Words dump_words(const Outside& outside) {
  Words words;
  const auto external = [&](const std::string& what) {
    words.insert(words.end(), {"--external", what});
  };
  for (const std::string& target : outside.mounts) external("mnt[" + target + "]:" + target);
  for (const std::string& target : outside.masked) external("mnt[" + target + "]:" + target);
  for (const std::string& target : outside.cgroups) external("mnt[" + target + "]:" + target);
  for (const std::string& name : outside.descriptors) {
    if (name.starts_with("file[")) external(name);
  }
  if (!outside.network.empty()) external("net[" + namespace_id(outside.network) + "]:network");
  return words;
}

void save_manifest(const fs::path& images, const Outside& outside) {
  const json value = {{"mounts", outside.mounts},
                      {"masked", outside.masked},
                      {"cgroups", outside.cgroups},
                      {"descriptors", outside.descriptors}};
  base::write_file(images / kManifest, value.dump(), 0600);
}

Outside load_manifest(const fs::path& images) {
  const auto text = base::find_file(images / kManifest, 1U << 20U);
  if (!text) {
    throw Error(ErrorKind::kNotFound,
                images.string() + ": no checkpoint of ours: " + kManifest + " is missing");
  }
  const json value = oci::parse_json(*text);
  return {.mounts = value.at("mounts"),
          .masked = value.at("masked"),
          .cgroups = value.at("cgroups"),
          .descriptors = value.at("descriptors"),
          .network = {}};
}

Words restore_words(const oci::RuntimeSpec& spec, const Outside& outside, const Cgroups& groups) {
  Words words;
  const auto external = [&](const std::string& what) {
    words.insert(words.end(), {"--external", what});
  };
  for (const oci::Mount& mount : spec.mounts) {
    const std::string target = fs::path(mount.destination).lexically_normal();
    if (std::find(outside.mounts.begin(), outside.mounts.end(), target) != outside.mounts.end()) {
      external("mnt[" + target + "]:" + mount.source);
    }
  }
  for (const std::string& target : outside.masked) external("mnt[" + target + "]:/dev/null");
  for (const std::string& target : outside.cgroups) {
    external("mnt[" + target + "]:" + groups.paths.at(0));
  }
  for (std::size_t fd = 0; fd < outside.descriptors.size(); ++fd) {
    const std::string& name = outside.descriptors[fd];
    if (name.empty()) continue;
    words.insert(words.end(), {"--inherit-fd", "fd[" + std::to_string(fd) + "]:" + name});
  }
  return words;
}

// A mount namespace of our own for as long as this lives: where criu wants the root mounted,
// nothing stays behind.
class OwnMounts {
 public:
  OwnMounts() : before_(base::open_file("/proc/self/ns/mnt", O_RDONLY)) {
    base::check(unshare(CLONE_NEWNS), "unshare");
    base::check(mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), "make mounts slaves");
  }
  OwnMounts(const OwnMounts&) = delete;
  OwnMounts& operator=(const OwnMounts&) = delete;
  ~OwnMounts() { static_cast<void>(setns(before_.get(), CLONE_NEWNS) == 0); }

 private:
  UniqueFd before_;
};

// Everything that is started meanwhile is born in the container's groups.
class InsideCgroups {
 public:
  explicit InsideCgroups(const Cgroups& groups) : host_(detect_cgroups()) {
    for (const auto& fd : groups.task_fds) base::write_all(fd.get(), "0");
    for (const std::string& path : groups.paths) {
      if (is_cgroup2(path)) join(path);
    }
  }
  InsideCgroups(const InsideCgroups&) = delete;
  InsideCgroups& operator=(const InsideCgroups&) = delete;
  ~InsideCgroups() {
    for (const CgroupHierarchy& each : host_.v1) {
      write_cgroup_file(each.mount_point + each.own_path + "/tasks", "0");
    }
    if (host_.v2) join(host_.v2->mount_point + host_.v2->own_path);
  }

 private:
  static void join(const std::string& path) { write_cgroup_file(path + "/cgroup.procs", "0"); }
  CgroupHost host_;
};

// criu and all that it brings back, inside the groups. Gives the first process's id.
pid_t run_restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                  const CriuOptions& criu, const Outside& outside, const Cgroups& groups) {
  const OwnMounts own_mounts;
  const fs::path root = options.state_dir / "criu-root";
  const fs::path pid_file = options.state_dir / "criu.pid";
  const fs::path rootfs = options.bundle / spec.root.path;
  base::make_dirs(root, 0755);
  base::check(mount(rootfs.c_str(), root.c_str(), nullptr, MS_BIND | MS_REC, nullptr),
              "bind " + rootfs.string());
  Words words = restore_words(spec, outside, groups);
  words.insert(words.end(), {"--root", root, "--pidfile", pid_file, "--restore-detached"});
  std::vector<base::DescriptorMap> descriptors = {
      {options.stdio.in, 0}, {options.stdio.out, 1}, {options.stdio.err, 2}};
  UniqueFd network;
  for (const oci::Namespace& each : spec.linux_.namespaces) {
    if (each.type != oci::NamespaceType::kNetwork || each.path.empty()) continue;
    network = base::open_file(each.path, O_RDONLY);
    descriptors.push_back({network.get(), 3});
    words.insert(words.end(), {"--inherit-fd", "fd[3]:network"});
  }
  {
    const InsideCgroups inside(groups);
    run_criu(criu, words, "restore", descriptors);
  }
  const std::string text = base::read_file(pid_file);
  unlink(pid_file.c_str());
  return static_cast<pid_t>(std::stol(text));
}

}  // namespace

void checkpoint(const fs::path& state_dir, const oci::RuntimeSpec& spec, const CriuOptions& criu,
                AfterDump after) {
  const Record record = load_record(state_dir);
  const Status status = current_status(state_dir, record);
  if (status != Status::kRunning) {
    throw Error(ErrorKind::kConflict, "container \"" + record.state.id + "\" is " +
                                          status_name(status) +
                                          ": only a running one can be checkpointed");
  }
  check_can_dump(spec);
  const pid_t pid = record.state.init.pid;
  const Outside outside = find_outside(spec, pid);
  Words words = dump_words(outside);
  words.insert(words.end(), {"-t", std::to_string(pid), "--root",
                             (record.state.bundle / spec.root.path).lexically_normal()});
  std::vector<base::DescriptorMap> descriptors = {{-1, 0}, {-1, 1}, {-1, 2}};
  if (criu.status_fd >= 0) {
    descriptors.push_back({criu.status_fd, 3});
    words.insert(words.end(), {"--status-fd", "3"});
  }
  if (after == AfterDump::kPreDump) {
    words.emplace_back("--track-mem");
    return run_criu(criu, words, "pre-dump", descriptors);
  }
  if (after == AfterDump::kLeaveRunning) words.emplace_back("--leave-running");
  run_criu(criu, words, "dump", descriptors);
  save_manifest(criu.images, outside);
}

Created restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                const CriuOptions& criu) {
  check_can_restore(spec, options);
  const Outside outside = load_manifest(criu.images);
  const std::string parent = options.cgroup_parent.empty() ? "/sampan" : options.cgroup_parent;
  const std::string path =
      spec.linux_.cgroups_path.empty() ? parent + "/" + options.id : spec.linux_.cgroups_path;
  const CgroupPlan plan = plan_cgroups(path, spec.linux_.resources, detect_cgroups());
  base::make_dirs(options.state_dir, 0711);
  Record record = first_record(spec, options, plan);
  create_record(options.state_dir, record);
  base::Cleanup discard([&] {
    try {
      remove(options.state_dir, RemoveMode::kForced);
    } catch (const Error& error) {
      base::trace("runtime", error.what());
    }
  });
  const Cgroups groups = apply_cgroups(plan);
  const pid_t pid = run_restore(spec, options, criu, outside, groups);
  const auto identity = base::find_process(pid);
  auto pidfd = identity ? base::open_process(*identity) : std::optional<UniqueFd>();
  if (!pidfd) throw Error(ErrorKind::kSystem, "the restored process ended at once");
  record.state.init = *identity;
  record.state.status = Status::kCreated;
  base::write_file(options.state_dir / kStartedFile, "", 0600);
  save_record(options.state_dir, record);
  rmdir((options.state_dir / "criu-root").c_str());
  discard.dismiss();
  Created created;
  created.init = *identity;
  created.pidfd = std::move(*pidfd);
  created.cgroup_paths = groups.paths;
  created.program = record.program;
  created.state_dir = options.state_dir;
  created.hooks = spec.hooks;
  return created;
}

}  // namespace runtime
