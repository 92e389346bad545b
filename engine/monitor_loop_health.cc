// Health checks within a MonitorLoop, and what follows from them.
#include <csignal>
#include <sys/epoll.h>

#include "base/process.h"
#include "engine/monitor_loop.h"
#include "engine/signals.h"

namespace engine {
namespace {

constexpr int kUnhealthyStopSeconds = 10;

}  // namespace

// The probe's next moment has come: a check begins, or takes too long.
void MonitorLoop::check_health() {
  if (probe_->is_running()) return probe_->time_out();
  if (paused_ || !holders_.empty()) return probe_->postpone();
  probe_->start();
  if (!probe_->is_running()) return finish_check();
  watch(probe_source_, probe_->process(), EPOLLIN);
  watch(probe_output_source_, probe_->output(), EPOLLIN);
}

void MonitorLoop::finish_check() {
  // Before the numbers of these descriptors are somebody else's.
  watch(probe_source_, probe_source_.fd, 0);
  watch(probe_output_source_, probe_output_source_.fd, 0);
  const bool changed = probe_->finish();
  if (ended_) return;  // what it says of a container that is gone says nothing
  hooks_.on_health(probe_->health(), changed);
  if (changed && probe_->health().status == Health::Status::kUnhealthy) act_on_health();
}

void MonitorLoop::act_on_health() {
  if (end_.then == AfterEnd::kStay) return;  // it is being stopped anyway
  const ContainerOptions& options = container_->options;
  const int signal = options.stop_signal.empty() ? SIGTERM : parse_signal(options.stop_signal);
  const int seconds = options.stop_timeout.value_or(kUnhealthyStopSeconds);
  switch (options.health_on_failure) {
    case HealthAction::kNone:
      break;
    case HealthAction::kKill:
      base::send_signal(container_->process.pidfd.get(), SIGKILL);
      break;
    case HealthAction::kRestart:
      end_.then = AfterEnd::kRestart;
      end_within(signal, seconds);
      break;
    case HealthAction::kStop:
      end_.then = AfterEnd::kStay;
      end_.stopped = true;
      end_within(signal, seconds);
      break;
  }
}

}  // namespace engine
