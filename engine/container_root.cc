#include "engine/container_root.h"

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "engine/mount_plan.h"
#include "engine/private_root.h"
#include "engine/reconcile.h"

namespace engine {
namespace {

constexpr int kLockSeconds = 30;  // another cp, or a monitor that tidies up

std::vector<PrivateBind> plan_binds(storage::Store& store, const ContainerOptions& options) {
  std::vector<PrivateBind> binds;
  for (const ResolvedMount& mount : resolve_mounts(store, options, BindSource::kNeeded)) {
    // A tmpfs begins empty at each start; other file systems are mounted by a start only.
    if (mount.option.kind == MountOption::Kind::kTmpfs || mount.source.empty()) continue;
    binds.push_back({.source = mount.source,
                     .target = clean_destination(mount.option.target),
                     .subpath = mount.option.subpath,
                     .readonly = mount.option.readonly,
                     .recursive = mount.option.recursive});
  }
  std::stable_sort(binds.begin(), binds.end(), [](const PrivateBind& a, const PrivateBind& b) {
    return std::count(a.target.begin(), a.target.end(), '/') <
           std::count(b.target.begin(), b.target.end(), '/');
  });
  return binds;
}

}  // namespace

ContainerRoot::ContainerRoot(Engine::State& state, std::string_view name_or_id)
    : row_(state.load_current_row(name_or_id)),
      options_(parse_options(row_.options)),
      directory_(state.directory_of(row_.id)) {
  const base::Nanoseconds deadline = base::now() + kLockSeconds * 1'000'000'000LL;
  while (has_process(row_.status) ? !open_running() : !open_stopped(state)) {
    if (base::now() > deadline) {
      throw base::Error(base::ErrorKind::kUnavailable,
                        "container " + row_.id + " is restarting: try again once it runs");
    }
    const timespec pause = {.tv_sec = 0, .tv_nsec = 10'000'000};
    nanosleep(&pause, nullptr);
    row_ = state.load_current_row(row_.id);  // it ended or started just now
  }
}

ContainerRoot::~ContainerRoot() {
  root_.reset();  // before anybody else may mount the overlay
  if (lock_) directory_.remove();
}

// The path through /proc is only believed if the process it was opened for is there afterwards,
// too: until then nobody else can have had its id.
bool ContainerRoot::open_running() {
  const auto process = base::open_process(row_.init);
  if (!process) return false;
  const std::string path = "/proc/" + std::to_string(row_.init.pid) + "/root";
  root_.reset(open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root_ && errno != ENOENT && errno != ESRCH) base::throw_errno(path);
  return root_ && !base::has_exited(process->get());
}

bool ContainerRoot::open_stopped(Engine::State& state) {
  lock_ = state.lock_stopped(row_, kLockSeconds);
  if (!lock_) return false;
  row_ = load_row(state.store, row_.id);  // as it is now that nobody can change it
  const storage::ImageRow image = state.store.load_image(row_.image);
  PrivateRoot plan{.overlay = storage::plan_overlay(state.store, image.layer_keys,
                                                    state.store.container_dir(row_.id)),
                   .binds = plan_binds(state.store, options_),
                   .readonly = options_.read_only};
  make_writable_layer(state.store.container_dir(row_.id), plan.overlay);
  root_ = base::while_doing("files of container " + row_.name,
                            [&] { return mount_private_root(plan); });
  return true;
}

}  // namespace engine
