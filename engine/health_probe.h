// HealthProbe: runs a container's health check from its monitor, one process at a time.
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "engine/health.h"
#include "engine/options.h"
#include "engine/run_directory.h"

namespace engine {

// Its owner waits for process() and output() to be readable and for deadline(). The check's
// process is a child of the caller.
class HealthProbe {
 public:
  HealthProbe(const ContainerOptions& options, RunDirectory directory, fs::path seccomp_cache);

  const Health& health() const { return health_; }
  const oci::HealthCheck& check() const { return check_; }
  int process() const { return process_.get(); }
  int output() const { return output_.get(); }
  bool is_running() const { return static_cast<bool>(process_); }
  base::Nanoseconds deadline() const { return deadline_; }  // CLOCK_MONOTONIC

  // Starts the check. One that can't be started has failed: then finish() may be called at once,
  // and is_running() is false.
  void start();
  void read_output();  // closes it at its end
  void time_out();
  // After the process has ended. True where the status is another now.
  bool finish();
  // For a container that is frozen: the next check comes a while later.
  void postpone();

 private:
  std::vector<std::string> arguments() const;

  oci::HealthCheck check_;
  std::string shell_;
  RunDirectory directory_;
  fs::path cache_;
  Health health_;
  HealthResult current_;
  bool truncated_ = false, timed_out_ = false, failed_ = false;
  base::UniqueFd process_, output_;
  base::Nanoseconds up_since_ = 0, started_ = 0, deadline_ = 0;
};

}  // namespace engine
