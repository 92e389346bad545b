#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "engine/changes.h"
#include "engine/container_root.h"
#include "engine/copy_place.h"
#include "engine/copy_rules.h"
#include "engine/file_copy.h"
#include "engine/image_helper.h"
#include "engine/user.h"

namespace engine {
namespace {

constexpr std::size_t kMaxUserFile = 10U << 20U;

[[noreturn]] void refuse(const std::string& text,
                         base::ErrorKind kind = base::ErrorKind::kInvalid) {
  throw base::Error(kind, text);
}

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

FollowLast follow_source(const CopyRequest& request, const CopyPath& path) {
  return request.follow_links || path.directory ? FollowLast::kYes : FollowLast::kNo;
}

[[noreturn]] void refuse_missing(const std::string& path, const CopyRequest& request) {
  refuse("Could not find the file " + path + " in container " + request.container,
         base::ErrorKind::kNotFound);
}

CopyPlace find_container_source(const ContainerRoot& root, const CopyPath& path,
                                const CopyRequest& request) {
  CopyPlace place = find_place(CopyTree(root.fd()), path.path, follow_source(request, path));
  if (!place.found) refuse_missing(path.path, request);
  if (path.directory && !place.is_directory()) refuse(path.path + ": not a directory");
  return place;
}

CopyPlace find_host_source(const CopyPath& path, const CopyRequest& request) {
  CopyPlace place = find_place(CopyTree(), path.path, follow_source(request, path));
  if (!place.found) {
    refuse("lstat " + path.path + ": no such file or directory", base::ErrorKind::kNotFound);
  }
  if (path.directory && !place.is_directory()) refuse(path.path + ": not a directory");
  return place;
}

CopyKind kind_of(const CopyPlace& place) {
  if (!place.found) return CopyKind::kMissing;
  return place.is_directory() ? CopyKind::kDirectory : CopyKind::kOther;
}

base::UniqueFd open_directory(const CopyPlace& place) {
  return base::open_at(place.parent.get(), place.name, O_PATH | O_DIRECTORY | O_NOFOLLOW);
}

// The directory that something will be made in; where the name in it is ".", the destination.
struct Target {
  base::UniqueFd directory;
  std::string name;
};

Target choose_target(CopyPlace place, CopyAction action, const CopyPath& source) {
  switch (action) {
    case CopyAction::kInto:
      return {open_directory(place), last_name(source.path)};
    case CopyAction::kContents:
      return {open_directory(place), "."};
    case CopyAction::kAs:
      break;
  }
  return {std::move(place.parent), place.name};
}

// The kernel would refuse as well, but in other words than docker's.
void refuse_read_only(const ContainerRoot& root, int directory_fd) {
  struct statvfs info = {};
  struct statvfs root_info = {};
  base::check(fstatvfs(directory_fd, &info), "statvfs");
  base::check(fstatvfs(root.fd(), &root_info), "statvfs");
  if ((info.f_flag & ST_RDONLY) == 0) return;
  if (root.options().read_only && info.f_fsid == root_info.f_fsid) {
    refuse("container rootfs is marked read-only", base::ErrorKind::kConflict);
  }
  refuse("mounted volume is marked read-only", base::ErrorKind::kConflict);
}

void check_host_destination(const CopyPlace& place, const CopyPath& path) {
  if (!place.parent) {
    const std::string parent = path.path.substr(0, std::max<std::size_t>(path.path.rfind('/'), 1));
    refuse("invalid output path: directory \"" + parent + "\" does not exist",
           base::ErrorKind::kNotFound);
  }
  if (!place.found || S_ISDIR(place.found->st_mode) || S_ISREG(place.found->st_mode)) return;
  refuse("invalid output path: \"" + path.path +
         "\" must be a directory or a regular file: got a device");
}

CopyPlace find_container_destination(const ContainerRoot& root, const CopyPath& path,
                                     const CopyRequest& request) {
  CopyPlace place = find_place(CopyTree(root.fd()), path.path, FollowLast::kYes);
  if (!place.parent) {
    const std::string parent =
        place.path.substr(0, std::max<std::size_t>(place.path.rfind('/'), 1));
    refuse_missing(parent, request);
  }
  if (place.found && !S_ISDIR(place.found->st_mode) && !S_ISREG(place.found->st_mode)) {
    refuse("destination \"" + request.container + ":" + request.container_path +
           "\" must be a directory or a regular file");
  }
  return place;
}

// docker's -a: everything belongs to the user that the container runs as, if it has one.
std::optional<ContainerUser> archive_owner(storage::Store& store, const ContainerRoot& root) {
  const storage::ImageRow image = store.load_image(root.row().image);
  std::string who = root.options().user;
  if (who.empty()) who = oci::parse_image_config(image.config).user;
  if (who.empty()) return std::nullopt;
  const ImageTree tree = open_tree(store, image, store.container_dir(root.row().id));
  return plan_user(who, {},
                   {.passwd = tree.find_file("/etc/passwd", kMaxUserFile).value_or(""),
                    .group = tree.find_file("/etc/group", kMaxUserFile).value_or("")});
}

}  // namespace

std::uint64_t Engine::copy_from(const CopyRequest& request) {
  const CopyPath source = parse_copy_path(request.container_path, "/");
  const bool is_stream = request.host_path == "-";
  CopyPath target;
  CopyPlace destination;
  if (!is_stream) {
    target = parse_copy_path(request.host_path, request.working_dir);
    destination = find_place(CopyTree(), target.path, FollowLast::kYes);
    check_host_destination(destination, target);
  }
  const ContainerRoot root(*state_, request.container);
  const CopyPlace place = find_container_source(root, source, request);
  if (is_stream) {
    const HelperCommand command{.words = {"copy-out", "--base", place.name, "--name",
                                          source.contents ? "." : last_name(source.path)},
                                .stdout_fd = STDOUT_FILENO,
                                .directory_fd = place.parent.get()};
    run_image_helper(state_->config, command, {});
    return 0;
  }
  const CopyAction action = plan_copy(place.is_directory(), source, kind_of(destination), target);
  const Target end = choose_target(std::move(destination), action, source);
  using Owner = FileCopyOptions::Owner;
  return copy_entry({place.parent.get(), place.name, source.path},
                    {end.directory.get(), end.name, target.path},
                    {.owner = request.archive ? Owner::kKept : Owner::kOurs});
}

std::uint64_t Engine::copy_to(const CopyRequest& request) {
  const CopyPath target = parse_copy_path(request.container_path, "/");
  if (request.container_path.empty()) refuse("no such directory");
  const bool is_stream = request.host_path == "-";
  CopyPath source;
  CopyPlace place;
  if (!is_stream) {
    source = parse_copy_path(request.host_path, request.working_dir);
    place = find_host_source(source, request);
  }
  const ContainerRoot root(*state_, request.container);
  CopyPlace destination = find_container_destination(root, target, request);
  std::optional<ContainerUser> owner;
  if (request.archive) owner = archive_owner(state_->store, root);
  if (is_stream) {
    if (!destination.is_directory()) {
      refuse("destination \"" + request.container + ":" + request.container_path +
             "\" must be a directory");
    }
    refuse_read_only(root, open_directory(destination).get());
    HelperCommand command{.words = {"copy-in", "--to", destination.path},
                          .stdin_fd = STDIN_FILENO,
                          .directory_fd = root.fd()};
    if (owner) {
      command.words.insert(command.words.end(), {"--owner", std::to_string(owner->uid) + ":" +
                                                                std::to_string(owner->gid)});
    }
    return run_image_helper(state_->config, command, {}).value("bytes", std::uint64_t{0});
  }
  const CopyAction action = plan_copy(place.is_directory(), source, kind_of(destination), target);
  const Target end = choose_target(std::move(destination), action, source);
  refuse_read_only(root, end.directory.get());
  FileCopyOptions options;
  if (owner) {
    options = {.owner = FileCopyOptions::Owner::kGiven, .uid = owner->uid, .gid = owner->gid};
  }
  return copy_entry({place.parent.get(), place.name, source.path},
                    {end.directory.get(), end.name, target.path}, options);
}

}  // namespace engine
