#include <csignal>
#include <fcntl.h>
#include <map>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"
#include "base/trace.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/host_facts.h"
#include "engine/pull_events.h"

namespace engine {
namespace {

constexpr int kEventFd = 3;
constexpr std::size_t kMaxLine = 1U << 20U;

base::SpawnOptions plan_helper(const Config& config, std::string_view reference,
                               std::string_view platform, int event_fd) {
  const fs::path program =
      config.pull_helper.empty() ? program_beside_us("sampan-pull") : config.pull_helper;
  base::SpawnOptions options;
  options.program = program.string();
  options.arguments = {"sampan-pull", "--root", config.root.string()};
  if (!platform.empty()) {
    options.arguments.insert(options.arguments.end(), {"--platform", std::string(platform)});
  }
  for (const std::string& host : config.insecure_registries) {
    options.arguments.insert(options.arguments.end(), {"--insecure-registry", host});
  }
  options.arguments.emplace_back("--");
  options.arguments.emplace_back(reference);
  options.descriptors = {{-1, 0}, {STDERR_FILENO, 1}, {STDERR_FILENO, 2}, {event_fd, kEventFd}};
  return options;
}

}  // namespace

PullSummary Engine::pull(std::string_view reference, std::string_view platform,
                         const std::function<void(const PullProgress&)>& on_progress) {
  int ends[2] = {-1, -1};
  base::check(pipe2(ends, O_CLOEXEC), "pipe");
  const base::UniqueFd events(ends[0]);
  base::UniqueFd theirs(ends[1]);
  const pid_t helper = base::while_doing("start sampan-pull", [&] {
    return base::spawn(plan_helper(state_->config, reference, platform, theirs.get()));
  });
  theirs.reset();
  PullEvents decoder(on_progress);
  std::string line;
  char buffer[16384];
  for (ssize_t count = 0; (count = read(events.get(), buffer, sizeof buffer)) != 0;) {
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) break;
    for (ssize_t i = 0; i < count; ++i) {
      if (buffer[i] != '\n') {
        if (line.size() < kMaxLine) line += buffer[i];
        continue;
      }
      decoder.take(line);
      line.clear();
    }
  }
  const int code = base::wait_for_child(helper);
  return decoder.finish(code);
}

}  // namespace engine
