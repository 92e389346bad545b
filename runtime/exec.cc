#include <algorithm>
#include <cerrno>
#include <csignal>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/trace.h"
#include "runtime/launch.h"
#include "runtime/setup.h"
#include "runtime/state.h"
#include "runtime/systemd.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

void check_state(const fs::path& state_dir, const Record& record, const ExecOptions& options) {
  const Status status = current_status(state_dir, record);
  if (status == Status::kRunning || (status == Status::kPaused && options.ignore_paused)) return;
  throw Error(ErrorKind::kConflict,
              "cannot exec in a " + status_name(status) + " container" +
                  (status == Status::kPaused ? " (use --ignore-paused to override)" : ""));
}

// Whether a v1 directory is of the hierarchy with that controller.
bool is_of_controller(const std::string& path, const std::string& controller) {
  for (const CgroupHierarchy& each : detect_cgroups().v1) {
    if (!path.starts_with(each.mount_point + "/")) continue;
    const auto& all = each.controllers;
    return std::find(all.begin(), all.end(), controller) != all.end();
  }
  return false;
}

// The container's groups with what --cgroup puts below them.
std::vector<std::string> paths_to_join(std::vector<std::string> paths, const ExecOptions& options) {
  for (const auto& [controller, group] : options.sub_cgroups) {
    const fs::path below = fs::path("/" + group).lexically_normal().relative_path();
    bool found = controller.empty();
    for (std::string& path : paths) {
      const bool wanted = controller.empty() || is_of_controller(path, controller);
      found = found || wanted;
      if (!wanted || below.empty()) continue;
      path = (fs::path(path) / below).string();
      if (access(path.c_str(), F_OK) != 0) base::throw_errno("cgroup " + path);
    }
    if (!found) {
      throw Error(ErrorKind::kInvalid,
                  "the container has no cgroup of controller \"" + controller + "\"");
    }
  }
  return paths;
}

// The helper that joins the container and gives birth to the process there; see kEnterPidNamespace.
class Execution {
 public:
  struct Context {
    const SeccompProgram* filter = nullptr;
    const State* state = nullptr;
    const ResctrlGroup* resctrl = nullptr;
    int console_socket = -1;
    bool has_filter_first = false;
  };
  Execution(const Plan& plan, const LaunchInputs& inputs, const Context& context)
      : plan_(plan), context_(context), helper_(launch(plan, inputs)) {
    join_resctrl(*context.resctrl, helper_.pid);
  }
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;
  ~Execution() {
    end_child(helper_.pid, helper_.pidfd.get());
    if (process_ > 0 && !finished_) {
      kill(process_, SIGKILL);
      waitpid(process_, nullptr, 0);
    }
  }

  // nullopt: the filter did not let the process be born; another order is needed.
  std::optional<Executed> run() {
    while (auto heard = hear(helper_.control.get())) {
      switch (heard->report.kind) {
        case ReportKind::kFailed:
          // A process that was born may say so before its helper has told its pid.
          failed_step_ = heard->report.step_kind;
          failure_ = step_failure(heard->report, plan_.steps.at(heard->report.step));
          break;
        case ReportKind::kTerminal:
          take_console(std::move(heard->fd));
          break;
        case ReportKind::kProcess:
          process_ = heard->report.error;
          join_resctrl(*context_.resctrl, process_);  // its helper may have come too late
          pass_waiting_listener();
          break;
        case ReportKind::kListener:
          listener_ = heard->report.error;
          pass_waiting_listener();
          break;
        default:
          break;
      }
    }
    if (is_refused_by_filter()) return std::nullopt;
    if (failure_) throw Error(*failure_);
    trace_steps(plan_, helper_);
    return result();
  }

 private:
  // By an errno at that step, or by death on the way to it.
  bool is_refused_by_filter() {
    if (process_ > 0 || !context_.has_filter_first) return false;
    if (failure_) return failed_step_ == StepKind::kEnterPidNamespace;
    siginfo_t info = {};
    return waitid(P_PID, static_cast<id_t>(helper_.pid), &info, WEXITED | WNOWAIT) == 0 &&
           info.si_code != CLD_EXITED && info.si_status == SIGSYS;
  }

  // Whose it is, its helper may say later than the process itself has told that it is there.
  void pass_waiting_listener() {
    if (process_ <= 0 || listener_ < 0) return;
    const UniqueFd process(
        static_cast<int>(base::check(syscall(SYS_pidfd_open, process_, 0), "pidfd_open")));
    State state = *context_.state;
    state.status = Status::kRunning;
    pass_listener(*context_.filter, state, process_, process.get(), listener_);
    listener_ = -1;
    answer(helper_.control.get());
  }

  void take_console(UniqueFd master) {
    if (context_.console_socket >= 0) {
      send_console(context_.console_socket, master.get());
    } else {
      console_ = std::move(master);
    }
  }

  Executed result() {
    const auto identity =
        process_ > 0 ? base::find_process(process_) : std::optional<base::ProcessId>();
    auto pidfd = identity ? base::open_process(*identity) : std::optional<UniqueFd>();
    if (!pidfd) {
      throw Error(ErrorKind::kSystem, "the process ended while it entered the container");
    }
    finished_ = true;
    return {.process = *identity, .pidfd = std::move(*pidfd), .console = std::move(console_)};
  }

  const Plan& plan_;
  Context context_;
  Launched helper_;
  UniqueFd console_;
  std::optional<Error> failure_;
  StepKind failed_step_ = StepKind::kExec;
  pid_t process_ = 0;
  int listener_ = -1;
  bool finished_ = false;
};

Executed exec_in_running(const fs::path& state_dir, const oci::RuntimeSpec& spec,
                         const oci::Process& process, const ExecOptions& options) {
  check_preserved(options.preserve_fds);
  const Record record = load_record(state_dir);
  check_state(state_dir, record, options);
  const auto init = base::open_process(record.state.init);
  if (!init) throw Error(ErrorKind::kConflict, "container \"" + record.state.id + "\" has ended");
  const std::vector<std::string> paths = paths_to_join(record.state.cgroup_paths, options);
  // In a group that was asked for, even where the first process is in another.
  const CgroupJoin cgroups =
      open_cgroups(paths, options.sub_cgroups.empty() ? record.state.init.pid : 0);
  const auto filter = load_filter(spec, options.cache_dir);
  ExecTarget target{.has_user_namespace = record.has_user_namespace,
                    .has_time_namespace = record.has_time_namespace};
  if (record.has_user_namespace) target.shared = shared_namespaces(record.state.init.pid);
  if (record.has_keyring) target.keyring = "_ses." + record.state.id;
  if (!cgroups.task_fds.empty()) target.task_files = paths;
  HostFacts host = detect_host(detect_cgroups(), spec, process);
  if (record.has_user_namespace) host.known_capabilities = known_capabilities();
  const auto attempt = [&] {
    const Plan plan = plan_exec(spec, process, target, options, filter ? &*filter : nullptr, host);
    return Execution(plan,
                     {.stdio = options.stdio,
                      .preserve_fds = options.preserve_fds,
                      .cgroups = &cgroups,
                      .container_pidfd = init->get()},
                     {.filter = filter ? &*filter : nullptr,
                      .state = &record.state,
                      .resctrl = &record.resctrl,
                      .console_socket = options.console_socket,
                      .has_filter_first = filter && loads_filter_first(target, process, &*filter)})
        .run();
  };
  auto executed = attempt();
  if (!executed) {
    target.filter_first = false;
    base::trace("runtime", "the filter refuses clone(2): it is loaded in the new process instead");
    executed = attempt();
  }
  if (!record.systemd_unit.empty() && detect_cgroups().layout == CgroupLayout::kHybrid) {
    attach_to_unit(record.systemd_bus, record.systemd_unit, {executed.value().process.pid});
  }
  return std::move(executed.value());
}

// A container that ends, or is removed, at the same time is the reason, whichever step noticed.
// ESRCH: its first process has left its namespaces already, and is about to be gone.
void check_still_there(const fs::path& state_dir, int failure) {
  const auto record = find_record(state_dir);
  if (!record) {
    throw Error(ErrorKind::kNotFound,
                "container \"" + state_dir.filename().string() + "\" does not exist", ENOENT);
  }
  if (failure == ESRCH || current_status(state_dir, *record) == Status::kStopped) {
    throw Error(ErrorKind::kConflict, "cannot exec in a stopped container");
  }
}

}  // namespace

Executed exec(const fs::path& state_dir, const oci::RuntimeSpec& spec, const oci::Process& process,
              const ExecOptions& options) {
  const base::TraceStep step("runtime", "exec");
  try {
    return exec_in_running(state_dir, spec, process, options);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kCommandNotFound &&
        error.kind() != ErrorKind::kCommandNotRunnable) {
      check_still_there(state_dir, error.errno_value());
    }
    throw;
  }
}

}  // namespace runtime
