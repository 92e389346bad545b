#include <algorithm>
#include <cerrno>
#include <deque>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "base/trace.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/net_devices.h"
#include "runtime/setup.h"
#include "runtime/state.h"
#include "runtime/unit_design.h"

namespace runtime {

struct HostView {
  CgroupHost cgroups;
};

void HostViewDeleter::operator()(HostView* view) const noexcept { delete view; }

KnownHost look_at_host() { return KnownHost(new HostView{detect_cgroups()}); }

namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

constexpr std::size_t kLongestReason = 1000;

// How long a child may take to the next word after what its parent did has failed.
constexpr int kHearOutMilliseconds = 1000;

void check_options(const CreateOptions& options) {
  const std::string& id = options.id;
  const bool plain = std::all_of(id.begin(), id.end(), [](unsigned char letter) {
    return std::isalnum(letter) != 0 || letter == '_' || letter == '+' || letter == '.' ||
           letter == '-';
  });
  if (id.empty() || id.size() > 1024 || !plain || id == "." || id == "..") {
    throw Error(ErrorKind::kInvalid, "container id \"" + id + "\": only [A-Za-z0-9_+.-]+");
  }
  if (!options.bundle.is_absolute() || !options.state_dir.is_absolute()) {
    throw Error(ErrorKind::kInvalid, "the bundle and the state directory need absolute paths");
  }
}

// What is mounted in our mount namespace, its root apart.
std::vector<std::string> find_mount_points() {
  std::vector<std::string> points;
  const base::CHandle<FILE, endmntent> mounts(setmntent("/proc/self/mounts", "re"));
  if (!mounts) base::throw_errno("/proc/self/mounts");
  while (const mntent* const entry = getmntent(mounts.get())) {
    if (std::string_view(entry->mnt_dir) != "/") points.emplace_back(entry->mnt_dir);
  }
  return points;
}

// Everything that is worked out before anything is done.
struct Design {
  std::optional<UnitDesign> unit;
  CgroupPlan cgroups;
  std::optional<ResctrlPlan> resctrl;
  std::optional<SeccompProgram> filter;
  Plan plan;
};

Design make_design(const oci::RuntimeSpec& spec, const CreateOptions& options) {
  check_options(options);
  check_preserved(options.preserve_fds);
  const KnownHost seen = options.host == nullptr ? look_at_host() : nullptr;
  const HostView& view = options.host == nullptr ? *seen : *options.host;
  Design design;
  std::vector<std::string> decisions;
  if (options.systemd_bus) {
    design.unit = design_unit(spec, options, view.cgroups);
    design.cgroups = design.unit->cgroups;
  } else {
    design.cgroups =
        plan_cgroups(cgroups_path_of(spec, options), spec.linux_.resources, view.cgroups);
  }
  if (options.rootless.value_or(geteuid() != 0)) {
    design.cgroups = keep_permitted(std::move(design.cgroups), decisions);
  }
  if (spec.linux_.intel_rdt) {
    design.resctrl = plan_resctrl(*spec.linux_.intel_rdt, options.id,
                                  options.resctrl_root ? *options.resctrl_root : find_resctrl());
    check_resctrl(*design.resctrl);
  }
  design.filter = load_filter(spec, options.cache_dir);
  HostFacts host = detect_host(view.cgroups, spec, spec.process.value_or(oci::Process()));
  if (options.no_pivot) host.mount_points = find_mount_points();
  design.plan =
      plan_create(spec, options, design.cgroups, design.filter ? &*design.filter : nullptr, host);
  design.plan.decisions.insert(design.plan.decisions.end(), decisions.begin(), decisions.end());
  return design;
}

// What is wrong with a spec is said in one line, whatever it holds.
Design design(const oci::RuntimeSpec& spec, const CreateOptions& options) {
  try {
    return make_design(spec, options);
  } catch (const Error& error) {
    throw Error(error.kind(), base::printable(error.what(), kLongestReason), error.errno_value());
  }
}

// Out of the way of the descriptors that the container gets.
void move_above(UniqueFd& fd, int preserve_fds) {
  if (fd.get() >= 3 + preserve_fds) return;
  fd.reset(base::check(fcntl(fd.get(), F_DUPFD_CLOEXEC, 3 + preserve_fds), "fcntl"));
}

// Opened for both directions: so neither end waits for the other to come, and a byte that `start`
// wrote stays even if it has gone before the child reads.
UniqueFd make_fifo(const fs::path& path, int preserve_fds) {
  base::check(mkfifo(path.c_str(), 0600), path.string());
  UniqueFd fd = base::open_file(path, O_RDWR);
  move_above(fd, preserve_fds);
  return fd;
}

// Whether nobody needs to do anything between create and start, nor to be asked on the way: the
// parent's one word for the gate would be taken for the answer.
bool can_start_at_once(const oci::RuntimeSpec& spec, const Design& design) {
  const auto asks = [](const Step& step) {
    return step.kind == StepKind::kSync &&
           step.number != static_cast<std::uint64_t>(SyncPoint::kCgroups);
  };
  const Plan& plan = design.plan;
  return spec.hooks.start_container.empty() && spec.hooks.poststop.empty() && !plan.is_born_later &&
         (!design.filter || !design.filter->has_listener) &&
         (!design.unit || !design.unit->attaches) &&
         std::none_of(plan.steps.begin(), plan.steps.end(), asks);
}

// A file that is not empty until the container's process makes it so.
UniqueFd make_started_file(const fs::path& path, int preserve_fds) {
  UniqueFd fd = base::open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  base::write_all(fd.get(), "-");
  move_above(fd, preserve_fds);
  return fd;
}

// Builds one container; what it has made is undone unless it gets to the end.
class Creation {
 public:
  enum class Start { kLater, kAtOnce };

  Creation(const oci::RuntimeSpec& spec, const CreateOptions& options, Design design, Start start)
      : spec_(spec),
        options_(options),
        design_(std::make_shared<const Design>(std::move(design))),
        starts_at_once_(start == Start::kAtOnce && can_start_at_once(spec, *design_)) {}
  Creation(const Creation&) = delete;
  Creation& operator=(const Creation&) = delete;
  ~Creation() {
    if (!finished_) undo();
  }

  Created run() {
    for (const std::string& decision : design_->plan.decisions) base::trace("runtime", decision);
    open_state();
    std::optional<Placeholder> placeholder;  // until the child is in its groups
    if (design_->unit) start_own_unit(placeholder.emplace());
    if (design_->resctrl) apply_resctrl(*design_->resctrl);
    const bool together = design_->plan.awaits_cgroups;
    if (!together) make_cgroups();
    start_child();
    if (together) {
      make_cgroups();
      answer(child_->control.get());  // where it is gone it has said why
    }
    // Nobody but our caller can open a gate that is a socket, so this can be said while the child
    // mounts: if we die, so does it.
    if (!options_.exec_fifo) save_as_created();
    serve_child();
    if (design_->unit && design_->unit->attaches) {
      attach_to_unit(record_.systemd_bus, record_.systemd_unit, {child_->pid});
    }
    trace_steps(design_->plan, *child_);
    if (options_.exec_fifo) hand_over_to_fifo();
    finished_ = true;
    return result();
  }

 private:
  void open_state() {
    base::make_dirs(options_.state_dir.parent_path(), 0711);
    made_state_dir_ = mkdir(options_.state_dir.c_str(), 0711) == 0;
    if (!made_state_dir_ && errno != EEXIST) base::throw_errno(options_.state_dir.string());
    record_ = first_record(spec_, options_, design_->cgroups);
    if (design_->unit) record_.systemd_unit = design_->unit->unit.name;
    if (design_->resctrl) record_.resctrl = design_->resctrl->group;
    create_record(options_.state_dir, record_);  // names the cgroups before they are there
    has_record_ = true;
  }

  void make_cgroups() {
    const base::TraceStep step("runtime", "make cgroups");
    cgroups_ = apply_cgroups(
        design_->cgroups, design_->plan.awaits_cgroups ? TaskFiles::kByPath : TaskFiles::kOpened);
    has_cgroups_ = true;
  }

  void start_own_unit(const Placeholder& placeholder) {
    const base::TraceStep step("runtime", "start the systemd unit");
    start_designed_unit(*design_->unit, options_.id, spec_.linux_.resources, placeholder);
    has_unit_ = true;
  }

  void save_as_created() {
    Record created = record_;
    created.state.status = Status::kCreated;
    save_record(options_.state_dir, created);
  }

  // Until the record names it the child ends with us; after that nobody needs us any more.
  void hand_over_to_fifo() {
    save_as_created();
    if (!answer(child_->control.get())) throw_unexpected_end();
  }

  void start_child() {
    UniqueFd gate;
    UniqueFd report;
    if (starts_at_once_) {
      started_ = make_started_file(options_.state_dir / kStartedFile, options_.preserve_fds);
    }
    if (options_.exec_fifo) {
      gate = make_fifo(options_.state_dir / kGateFifo, options_.preserve_fds);
      report = make_fifo(options_.state_dir / kReportFifo, options_.preserve_fds);
    }
    const base::TraceStep step("runtime", "clone");
    child_.emplace(launch(design_->plan, {.stdio = options_.stdio,
                                          .preserve_fds = options_.preserve_fds,
                                          .cgroups = has_cgroups_ ? &cgroups_ : nullptr,
                                          .gate_fd = gate.get(),
                                          .start_report_fd = report.get(),
                                          .started_fd = started_.get()}));
    if (design_->plan.is_born_later) await_birth();
    const auto identity = base::find_process(child_->pid);
    if (!identity) base::throw_errno("find the container's process", ESRCH);
    record_.state.init = *identity;
  }

  // The one that we have cloned joins a user namespace and gives birth to the container's process,
  // a child of ours too.
  void await_birth() {
    // What was born may speak before it is announced.
    std::optional<Heard> heard;
    while ((heard = hear(child_->control.get())) && heard->report.kind != ReportKind::kProcess) {
      early_.push_back(std::move(*heard));
    }
    if (!heard) {
      for (const Heard& each : early_) {
        if (each.report.kind == ReportKind::kFailed) throw_step_failure(each.report);
      }
      throw_unexpected_end();
    }
    const pid_t helper = std::exchange(child_->pid, heard->report.error);
    child_->pidfd.reset(
        static_cast<int>(base::check(syscall(SYS_pidfd_open, child_->pid, 0), "pidfd_open")));
    while (waitpid(helper, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  // While the child mounts, the network and the id mappings are made here.
  void serve_child() {
    if (options_.configure_network || !spec_.linux_.net_devices.empty()) await_namespaces();
    try {
      set_up_from_outside();
    } catch (const Error&) {
      hear_out();
      throw;
    }
    if (starts_at_once_) answer(child_->control.get());  // where it is gone it has said why
    hear_until_ready();
  }

  // A child that fails makes what we do about it fail as well, some of it while it is still on its
  // way out (its namespaces go before it counts as ended): its own words come first. A child that
  // is well gets to a point where it waits for us.
  void hear_out() {
    for (const Heard& each : early_) {
      if (each.report.kind == ReportKind::kFailed) throw_step_failure(each.report);
    }
    pollfd item = {.fd = child_->control.get(), .events = POLLIN, .revents = 0};
    while (poll(&item, 1, kHearOutMilliseconds) > 0) {
      auto heard = hear(child_->control.get());
      if (!heard) throw_unexpected_end();
      if (heard->report.kind == ReportKind::kFailed) throw_step_failure(heard->report);
      if (heard->report.kind == ReportKind::kReady || is_waiting(*heard)) return;
    }
  }

  [[noreturn]] void throw_step_failure(const Report& report) const {
    throw step_failure(report, design_->plan.steps.at(report.step));
  }

  // Whether it needs our answer to go on. That the groups are made it is told unasked.
  static bool is_waiting(const Heard& heard) {
    return heard.report.kind == ReportKind::kSync && point_of(heard) != SyncPoint::kCgroups;
  }
  static SyncPoint point_of(const Heard& heard) {
    return static_cast<SyncPoint>(heard.report.error);
  }

  // Its namespaces are its own from its first word on.
  void await_namespaces() {
    if (!design_->plan.awaits_cgroups) return;
    auto heard = hear(child_->control.get());
    if (!heard) throw_unexpected_end();
    if (heard->report.kind == ReportKind::kFailed) throw_step_failure(heard->report);
    early_.push_back(std::move(*heard));
  }

  void set_up_from_outside() {
    if (has_new_namespace(spec_, oci::NamespaceType::kUser)) write_mappings(spec_, child_->pid);
    if (spec_.process->oom_score_adj) {
      write_oom_score(child_->pid, *spec_.process->oom_score_adj);
    }
    join_resctrl(record_.resctrl, child_->pid);
    if (!spec_.linux_.net_devices.empty()) move_net_devices(spec_.linux_.net_devices, child_->pid);
    if (options_.configure_network && has_new_namespace(spec_, oci::NamespaceType::kNetwork)) {
      const base::TraceStep step("runtime", "configure the network");
      const UniqueFd network =
          base::open_file("/proc/" + std::to_string(child_->pid) + "/ns/net", O_RDONLY);
      options_.configure_network(child_->pid, network.get());
    }
  }

  std::optional<Heard> hear_next() {
    if (early_.empty()) return hear(child_->control.get());
    std::optional<Heard> first(std::move(early_.front()));
    early_.pop_front();
    return first;
  }

  void hear_until_ready() {
    for (;;) {
      auto heard = hear_next();
      if (!heard && has_started()) return;
      if (!heard) throw_unexpected_end();
      switch (heard->report.kind) {
        case ReportKind::kReady:
          return;
        case ReportKind::kTerminal:
          take_console(std::move(heard->fd));
          break;
        case ReportKind::kRoot:
          root_ = std::move(heard->fd);
          break;
        case ReportKind::kSync:
          if (is_waiting(*heard)) synchronise(point_of(*heard));
          break;
        case ReportKind::kFailed:
          throw_step_failure(heard->report);
        case ReportKind::kListener:
          pass_listener(*design_->filter, record_.state, child_->pid, child_->pidfd.get(),
                        heard->report.error);
          if (!answer(child_->control.get())) throw_unexpected_end();
          break;
        case ReportKind::kProcess:
          break;
      }
    }
  }

  // Whether the process has gone through a gate that opens by itself.
  bool has_started() const {
    struct stat info = {};
    return started_ && fstat(started_.get(), &info) == 0 && info.st_size == 0;
  }

  void synchronise(SyncPoint point) {
    if (point == SyncPoint::kHooks) {
      hooks_ran_ = true;
      run_hooks(spec_.hooks.prestart, "prestart", record_.state);
      run_hooks(spec_.hooks.create_runtime, "createRuntime", record_.state);
      run_hooks_inside(spec_.hooks.create_container, "createContainer", record_,
                       child_->pidfd.get());
    }
    if (!answer(child_->control.get())) throw_unexpected_end();
  }

  void take_console(UniqueFd master) {
    if (options_.console_socket >= 0) {
      send_console(options_.console_socket, master.get());
    } else {
      console_ = std::move(master);
    }
  }

  // No word from the child: something else ended it.
  [[noreturn]] void throw_unexpected_end() {
    int status = 0;
    const pid_t pid = child_->pid;
    waitpid(pid, &status, 0);
    reaped_ = true;
    const bool oom = count_oom_kills(cgroups_.paths) > 0;
    throw Error(ErrorKind::kSystem,
                "the container's process ended while it was set up" +
                    (oom                   ? std::string(": out of memory, the limit is too low")
                     : WIFSIGNALED(status) ? ": signal " + std::to_string(WTERMSIG(status))
                                           : std::string()));
  }

  Created result() {
    Created created;
    created.init = record_.state.init;
    created.pidfd = std::move(child_->pidfd);
    created.console = std::move(console_);
    created.root = std::move(root_);
    if (!options_.exec_fifo && !starts_at_once_) created.gate = std::move(child_->control);
    created.cgroup_paths = cgroups_.paths;
    created.program = record_.program;
    created.state_dir = options_.state_dir;
    created.hooks = spec_.hooks;
    created.lent.reset(new Lent{.plan = design_,
                                .memory = std::move(child_->memory),
                                .timings = std::move(child_->timings)});
    return created;
  }

  void undo() noexcept {
    if (child_ && !reaped_) end_child(child_->pid, child_->pidfd.get());
    try {
      if (has_cgroups_) signal_cgroups(cgroups_.paths, SIGKILL);
      if (has_unit_) stop_unit(record_.systemd_bus, record_.systemd_unit);
      if (has_cgroups_) {
        remove_cgroups(cgroups_.paths, SharedParent::kKeep);
      }
      if (has_record_) remove_resctrl(record_.resctrl);
    } catch (const Error& error) {
      base::trace("runtime", error.what());  // remove() tries again: the record names them
      return;
    }
    if (hooks_ran_) {
      record_.state.status = Status::kStopped;
      run_late_hooks(spec_.hooks.poststop, "poststop", record_.state);
    }
    if (has_record_) {
      base::remove_tree_quietly(options_.state_dir);
    } else if (made_state_dir_) {
      rmdir(options_.state_dir.c_str());  // stays where another's record came in between
    }
  }

  const oci::RuntimeSpec& spec_;
  const CreateOptions& options_;
  std::shared_ptr<const Design> design_;
  const bool starts_at_once_;
  Record record_;
  Cgroups cgroups_;
  std::optional<Launched> child_;
  std::deque<Heard> early_;
  UniqueFd started_;
  UniqueFd console_;
  UniqueFd root_;
  bool made_state_dir_ = false, has_record_ = false, has_unit_ = false, has_cgroups_ = false,
       reaped_ = false, hooks_ran_ = false, finished_ = false;
};

}  // namespace

Created create(const oci::RuntimeSpec& spec, const CreateOptions& options) {
  const base::TraceStep step("runtime", "create");
  return Creation(spec, options, design(spec, options), Creation::Start::kLater).run();
}

Created run(const oci::RuntimeSpec& spec, const CreateOptions& options) {
  const base::TraceStep step("runtime", "create and start");
  Created created = Creation(spec, options, design(spec, options), Creation::Start::kAtOnce).run();
  base::Cleanup discard([&] {
    try {
      remove(options.state_dir, RemoveMode::kForced);
    } catch (const Error&) {  // the first failure is the one to report
    }
  });
  if (created.gate) {
    start(created);
  } else {
    note_start(created);
  }
  discard.dismiss();
  return created;
}

std::string explain(const oci::RuntimeSpec& spec, const CreateOptions& options) {
  const Design plans = design(spec, options);
  return render(plans.cgroups) + (plans.resctrl ? render(*plans.resctrl) : std::string()) +
         render(plans.plan);
}

}  // namespace runtime
