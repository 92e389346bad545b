#include "runtime/id_mapped.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <optional>
#include <sstream>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "runtime/outside_mount.h"

namespace runtime {
namespace {

using base::UniqueFd;

void write_map(pid_t pid, const char* name, const std::vector<oci::IdMapping>& mappings) {
  const std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  const std::string text = render_id_map(mappings);
  const UniqueFd fd = base::open_file(path, O_WRONLY);
  base::check(write(fd.get(), text.data(), text.size()), path);
}

// A user namespace lives as long as its descriptor; the process that it is made with waits for the
// end of a pipe and does nothing.
UniqueFd make_user_namespace(const IdMap& map) {
  int ends[2] = {-1, -1};
  base::check(pipe2(ends, O_CLOEXEC), "pipe");
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  const long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
  if (pid == 0) {
    close(ends[1]);
    char byte = 0;
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR) {
    }
    _exit(0);
  }
  base::check(pid, "make a user namespace");
  const base::Cleanup reap([&] {
    writer.reset();
    while (waitpid(static_cast<pid_t>(pid), nullptr, 0) < 0 && errno == EINTR) {
    }
  });
  write_map(static_cast<pid_t>(pid), "uid_map", map.uids);
  write_map(static_cast<pid_t>(pid), "gid_map", map.gids);
  return base::open_file("/proc/" + std::to_string(pid) + "/ns/user", O_RDONLY);
}

UniqueFd open_user_namespace(const IdMap& map) {
  if (!map.user_namespace.empty()) {
    return base::open_file(map.user_namespace, O_RDONLY | O_NONBLOCK);
  }
  return make_user_namespace(map);
}

UniqueFd clone_tree(const std::string& path, bool recursive) {
  const unsigned flags =
      OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U);
  return UniqueFd(
      static_cast<int>(base::check(syscall(SYS_open_tree, AT_FDCWD, path.c_str(), flags), path)));
}

void map_ids(int mount_fd, int namespace_fd, bool recursive, const std::string& path) {
  mount_attr attributes = {};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(namespace_fd);
  const unsigned flags = AT_EMPTY_PATH | (recursive ? static_cast<unsigned>(AT_RECURSIVE) : 0U);
  base::check(syscall(SYS_mount_setattr, mount_fd, "", flags, &attributes, sizeof attributes),
              "map the ids of " + path + " (does its file system support it?)");
}

void set_option(int context_fd, const std::string& key, const std::string& value) {
  const long result =
      value.empty()
          ? syscall(SYS_fsconfig, context_fd, FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0)
          : syscall(SYS_fsconfig, context_fd, FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0);
  base::check(result, "overlay option " + key);
}

// Who root of the container is to us. Of a namespace that is joined, its process's map tells.
std::optional<std::uint32_t> find_root(const IdMap& map, bool group) {
  for (const oci::IdMapping& mapping : group ? map.gids : map.uids) {
    if (mapping.container_id == 0) return mapping.host_id;
  }
  const fs::path file(map.user_namespace);
  if (file.parent_path().filename() != "ns") return std::nullopt;
  const fs::path folder = file.parent_path().parent_path();
  std::istringstream lines(base::find_file(folder / (group ? "gid_map" : "uid_map")).value_or(""));
  std::uint32_t inside = 0;
  std::uint32_t outside = 0;
  std::uint32_t size = 0;
  while (lines >> inside >> outside >> size) {
    if (inside == 0) return outside;
  }
  return std::nullopt;
}

// The container's root directory is the upper one: without an owner inside nobody could write it.
void give_to_root(const fs::path& upper, const IdMap& map) {
  const auto uid = find_root(map, false);
  const auto gid = find_root(map, true);
  if (uid && gid) base::check(lchown(upper.c_str(), *uid, *gid), upper.string());
}

}  // namespace

std::string render_id_map(const std::vector<oci::IdMapping>& mappings) {
  std::string text;
  for (const oci::IdMapping& mapping : mappings) {
    text += std::to_string(mapping.container_id) + " " + std::to_string(mapping.host_id) + " " +
            std::to_string(mapping.size) + "\n";
  }
  return text;
}

UniqueFd clone_id_mapped(const Step& bind) {
  return base::while_doing("bind " + bind.source + " on " + bind.target, [&] {
    const bool recursive = (bind.flags & kRecursive) != 0 || bind.id_map.recursive;
    UniqueFd mount = bind.subpath.empty() && bind.mount_namespace.empty()
                         ? clone_tree(bind.source, recursive)
                         : clone_outside(bind, recursive);
    if (bind.id_map.empty()) return mount;
    const UniqueFd user_namespace = open_user_namespace(bind.id_map);
    map_ids(mount.get(), user_namespace.get(), bind.id_map.recursive, bind.source);
    return mount;
  });
}

UniqueFd open_with_ids(const std::string& path, const std::vector<oci::IdMapping>& uids,
                       const std::vector<oci::IdMapping>& gids) {
  const UniqueFd user_namespace =
      make_user_namespace({.uids = uids, .gids = gids, .user_namespace = {}});
  UniqueFd mount = clone_tree(path, false);
  map_ids(mount.get(), user_namespace.get(), false, path);
  // The clone itself is opened for paths only.
  return base::open_at(mount.get(), ".", O_RDONLY | O_DIRECTORY);
}

UniqueFd mount_id_mapped_overlay(const Step& overlay) {
  return base::while_doing("mount overlay on /", [&] {
    const UniqueFd user_namespace = open_user_namespace(overlay.id_map);
    const UniqueFd context(static_cast<int>(
        base::check(syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC), "fsopen overlay")));
    std::vector<UniqueFd> layers;
    const auto mapped = [&](const std::string& path) {
      layers.push_back(clone_tree(path, false));
      map_ids(layers.back().get(), user_namespace.get(), false, path);
      return "/proc/self/fd/" + std::to_string(layers.back().get());
    };
    for (std::size_t i = 0; i + 1 < overlay.words.size(); i += 2) {
      const std::string& key = overlay.words[i];
      const std::string& value = overlay.words[i + 1];
      // Not the upper directory: overlay itself, which is us, writes there.
      if (key == "upperdir") give_to_root(value, overlay.id_map);
      set_option(context.get(), key, key == "lowerdir+" ? mapped(value) : value);
    }
    base::check(syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0),
                "make the overlay of id-mapped layers");
    return UniqueFd(static_cast<int>(base::check(
        syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, overlay.attr_set), "fsmount")));
  });
}

}  // namespace runtime
