#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "runtime/hooks.h"
#include "runtime/launch.h"
#include "runtime/state.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

// How long a killed process may take to be gone.
constexpr int kEndMilliseconds = 5000;

Step step_of(const Report& report, const std::string& program) {
  Step step{.kind = report.step_kind};
  step.target = program;
  return step;
}

State state_with(const Record& record, Status status) {
  State state = record.state;
  state.status = status;
  return state;
}

void run_hooks_before(const oci::Hooks& hooks, const fs::path& state_dir, int pidfd) {
  if (hooks.start_container.empty()) return;
  Record record = load_record(state_dir);
  record.state.status = Status::kCreated;
  run_hooks_inside(hooks.start_container, "startContainer", record, pidfd);
}

void run_hooks_after(const oci::Hooks& hooks, const fs::path& state_dir) {
  if (hooks.poststart.empty()) return;
  run_late_hooks(hooks.poststart, "poststart",
                 state_with(load_record(state_dir), Status::kRunning));
}

// One report from the fifo, or nothing once the program runs.
std::optional<Report> read_report(int fd) {
  Report report;
  for (;;) {
    pollfd item = {.fd = fd, .events = POLLIN, .revents = 0};
    if (poll(&item, 1, -1) < 0 && errno != EINTR) base::throw_errno("poll");
    const ssize_t size = read(fd, &report, sizeof report);
    if (size > 0) return report;
    if (size == 0) return std::nullopt;
    if (errno != EAGAIN && errno != EINTR) base::throw_errno("hear from the container's process");
  }
}

}  // namespace

void note_start(Created& created) {
  delete created.lent.release();  // the program has memory of its own
  run_hooks_after(created.hooks, created.state_dir);
}

void start(Created& created) {
  const base::TraceStep step("runtime", "start");
  try {
    run_hooks_before(created.hooks, created.state_dir, created.pidfd.get());
  } catch (const Error&) {  // such a container ends; see runtime.md, "Lifecycle"
    end_child(created.init.pid, created.pidfd.get());
    throw;
  }
  // Before the gate opens: nobody may take a running container for one that waits.
  base::write_file(created.state_dir / kStartedFile, "", 0600);
  if (!answer(created.gate.get())) {
    end_child(created.init.pid, created.pidfd.get());
    throw Error(ErrorKind::kSystem, "the container's process ended before it was started");
  }
  const auto heard = hear(created.gate.get());
  created.gate.reset();
  if (heard) {
    end_child(created.init.pid, created.pidfd.get());
    throw step_failure(heard->report, step_of(heard->report, created.program));
  }
  note_start(created);
}

void start_by_fifo(const fs::path& state_dir) {
  const Record record = load_record(state_dir);
  const Status status = current_status(state_dir, record);
  const UniqueFd gate(open((state_dir / kGateFifo).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (status != Status::kCreated || !gate) {
    throw Error(ErrorKind::kConflict, "container \"" + record.state.id + "\" is " +
                                          status_name(status) + ": only a created one can start");
  }
  const auto process = base::open_process(record.state.init);
  if (!process) base::throw_errno("the container's process", ESRCH);
  try {
    run_hooks_before(record.hooks, state_dir, process->get());
  } catch (const Error&) {
    base::send_signal(process->get(), SIGKILL);
    base::wait_for_exit(process->get(), kEndMilliseconds);
    throw;
  }
  const UniqueFd reports = base::open_file(state_dir / kReportFifo, O_RDONLY | O_NONBLOCK);
  // The rename is what decides between two that start it at once, and marks it as started.
  base::check(rename((state_dir / kGateFifo).c_str(), (state_dir / kStartedFile).c_str()),
              "claim the start of " + record.state.id);
  base::write_all(gate.get(), "g");
  const auto report = read_report(reports.get());
  if (report) throw step_failure(*report, step_of(*report, record.program));
  unlink((state_dir / kReportFifo).c_str());
  run_hooks_after(record.hooks, state_dir);
}

}  // namespace runtime
