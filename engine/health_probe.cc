#include "engine/health_probe.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "runtime/container.h"

namespace engine {
namespace {

constexpr base::Nanoseconds kNanosecondsOfSecond = 1'000'000'000;

base::Nanoseconds uptime() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * kNanosecondsOfSecond + time.tv_nsec;
}

int exit_code_of(int pidfd) {
  siginfo_t info = {};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) != 0) {
    if (errno != EINTR) return -1;
  }
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

}  // namespace

HealthProbe::HealthProbe(const ContainerOptions& options, RunDirectory directory,
                         fs::path seccomp_cache)
    : check_(with_health_defaults(options.health.value_or(oci::HealthCheck{}))),
      shell_(options.health_shell),
      directory_(std::move(directory)),
      cache_(std::move(seccomp_cache)),
      up_since_(uptime()),
      started_(base::now()) {
  postpone();
}

void HealthProbe::postpone() {
  const base::Nanoseconds time = uptime();
  deadline_ = time + next_health_wait(health_, check_, time - up_since_);
}

std::vector<std::string> HealthProbe::arguments() const {
  std::vector<std::string> words;
  if (check_.test[0] == "CMD-SHELL") {
    std::string_view shell = shell_.empty() ? std::string_view("/bin/sh\n-c") : shell_;
    while (!shell.empty()) {
      const std::size_t end = std::min(shell.find('\n'), shell.size());
      words.emplace_back(shell.substr(0, end));
      shell.remove_prefix(std::min(end + 1, shell.size()));
    }
  }
  words.insert(words.end(), check_.test.begin() + 1, check_.test.end());
  return words;
}

void HealthProbe::start() {
  current_ = {.start = base::now(), .end = 0, .exit_code = 0, .output = {}};
  truncated_ = timed_out_ = failed_ = false;
  deadline_ = uptime() + check_.timeout;
  try {
    int ends[2] = {-1, -1};
    base::check(pipe2(ends, O_CLOEXEC), "pipe");
    output_.reset(ends[0]);
    const base::UniqueFd theirs(ends[1]);
    fcntl(output_.get(), F_SETFL, O_NONBLOCK);
    const oci::RuntimeSpec spec =
        oci::parse_runtime_spec(base::read_file(directory_.path() / "config.json"));
    oci::Process process = *spec.process;
    process.args = arguments();
    process.terminal = false;
    process.console_size.reset();
    // process.oom_score_adj stays: without it the check would have the monitor's own.
    runtime::Executed executed = runtime::exec(
        directory_.runtime(), spec, process,
        {.stdio = {.in = -1, .out = theirs.get(), .err = theirs.get()}, .cache_dir = cache_});
    process_ = std::move(executed.pidfd);
  } catch (const base::Error& error) {
    output_.reset();
    current_.output = error.what();
    failed_ = true;
  }
}

void HealthProbe::read_output() {
  std::array<char, 4096> buffer;
  while (output_) {
    const ssize_t count = read(output_.get(), buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return output_.reset();
    const std::size_t room = kMaxHealthOutput - current_.output.size();
    const auto size = static_cast<std::size_t>(count);
    truncated_ = truncated_ || size > room;
    current_.output.append(buffer.data(), std::min(size, room));
  }
}

void HealthProbe::time_out() {
  if (!process_) return;
  timed_out_ = true;
  deadline_ = 0;
  base::send_signal(process_.get(), SIGKILL);
}

bool HealthProbe::finish() {
  if (process_) current_.exit_code = exit_code_of(process_.get());
  // Something that the check left behind may hold its end of the pipe: nobody waits for that.
  read_output();
  output_.reset();
  process_.reset();
  if (truncated_) current_.output += "...";
  if (timed_out_ || failed_) current_.exit_code = -1;
  if (timed_out_) {
    current_.output = "Health check exceeded timeout (" + render_go_duration(check_.timeout) + ")" +
                      (current_.output.empty() ? "" : ": " + current_.output);
  }
  current_.end = base::now();
  const bool changed = add_health_result(health_, std::exchange(current_, {}), check_, started_);
  postpone();
  return changed;
}

}  // namespace engine
