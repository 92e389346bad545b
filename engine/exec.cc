#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/bundle.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/events.h"
#include "engine/exec_streams.h"
#include "engine/monitor_link.h"
#include "engine/process_plan.h"
#include "engine/reconcile.h"
#include "engine/security_plan.h"
#include "engine/user.h"
#include "runtime/defaults.h"

namespace engine {
namespace {

constexpr std::size_t kMaxUserFile = 10U << 20U;

// The user's name in the files that the container has now: its writable layer counts.
ContainerUser resolve_user(storage::Store& store, const storage::ContainerRow& row,
                           const std::string& who) {
  const storage::ImageRow image = store.load_image(row.image);
  const ImageTree tree = open_tree(store, image, store.container_dir(row.id));
  const UserFiles files = {.passwd = tree.find_file("/etc/passwd", kMaxUserFile).value_or(""),
                           .group = tree.find_file("/etc/group", kMaxUserFile).value_or("")};
  return plan_user(who, {}, files);
}

// The container's own process, changed as the request says.
oci::Process plan_exec_process(storage::Store& store, const storage::ContainerRow& row,
                               const oci::RuntimeSpec& spec, const ExecRequest& request) {
  oci::Process process = *spec.process;
  process.args = request.command;
  process.terminal = request.tty;
  process.console_size.reset();
  process.oom_score_adj.reset();
  if (request.tty && find_variable(process.env, "TERM").empty()) {
    process.env.emplace_back("TERM=xterm");
  }
  if (!request.user.empty()) {
    const ContainerUser user = resolve_user(store, row, request.user);
    process.user.uid = user.uid;
    process.user.gid = user.gid;
    process.user.additional_gids = user.additional_gids;
    process.env = merge_environment(std::move(process.env), {"HOME=" + user.home});
  }
  process.env = merge_environment(std::move(process.env), request.env);
  if (!request.working_dir.empty()) {
    if (request.working_dir[0] != '/') {
      throw base::Error(base::ErrorKind::kInvalid,
                        "the working directory '" + request.working_dir +
                            "' is invalid, it needs to be an absolute path");
    }
    process.cwd = request.working_dir;
  }
  const std::vector<std::string> names =
      request.privileged ? runtime::all_capabilities() : process.capabilities->bounding;
  process.capabilities = make_capability_sets(names, process.user.uid);
  return process;
}

// A terminal whose master nobody holds is hung up: where we leave before the process ends, the
// container's monitor has it from now on. The descriptor is on its way when this returns.
void leave_terminal(const RunDirectory& directory, base::UniqueFd master) {
  if (!master) return;
  if (auto link = connect_monitor(directory, 0)) link->send(FrameType::kKeepTerminal, master.get());
}

// What keeps a process from being executed in a container that runs is the process's failure, with
// docker's exit code for it, whatever the reason.
template <class State, class Action>
auto execute(State& state, const std::string& id, Action&& action) {
  try {
    return std::forward<Action>(action)();
  } catch (const base::Error& error) {
    state.load_running_row(id);  // says so where it has ended meanwhile
    if (error.kind() == base::ErrorKind::kCommandNotFound) throw;
    throw base::Error(base::ErrorKind::kCommandNotRunnable, error.what(), error.errno_value());
  }
}

}  // namespace

int Engine::exec(std::string_view name_or_id, const ExecRequest& request) {
  const storage::ContainerRow row = state_->load_running_row(name_or_id);
  if (row.status == storage::ContainerStatus::kPaused) {
    throw base::Error(base::ErrorKind::kConflict,
                      "Container " + row.id + " is paused, unpause the container before exec");
  }
  if (row.status == storage::ContainerStatus::kRestarting) {
    throw base::Error(
        base::ErrorKind::kConflict,
        "Container " + row.id + " is restarting, wait until the container is running");
  }
  const RunDirectory directory = state_->directory_of(row.id);
  oci::RuntimeSpec spec =
      oci::parse_runtime_spec(base::read_file(directory.path() / "config.json"));
  if (request.privileged) spec.linux_.seccomp.reset();
  const oci::Process process = execute(
      *state_, row.id, [&] { return plan_exec_process(state_->store, row, spec, request); });
  std::string shown;
  for (const std::string& word : request.command) shown += (shown.empty() ? "" : " ") + word;
  const std::vector<std::pair<std::string, std::string>> exec_id = {
      {"execID", base::random_hex(32)}};
  add_container_event(state_->store, row, "exec_create: " + shown, exec_id);
  ExecStreams streams(request);
  runtime::Executed executed;
  {
    base::TraceStep step("engine", "execute " + request.command.front());
    executed = execute(*state_, row.id, [&] {
      return runtime::exec(directory.runtime(), spec, process,
                           {.stdio = streams.theirs(), .cache_dir = seccomp_cache(state_->config)});
    });
  }
  add_container_event(state_->store, row, "exec_start: " + shown, exec_id);
  streams.close_theirs();
  if (request.detach) {
    leave_terminal(directory, std::move(executed.console));
    return 0;
  }
  const std::optional<int> code = streams.run(executed);
  if (!code) leave_terminal(directory, streams.take_terminal());
  if (code) {
    add_container_event(state_->store, row, "exec_die",
                        {exec_id.front(), {"exitCode", std::to_string(*code)}});
  }
  return code.value_or(0);
}

}  // namespace engine
