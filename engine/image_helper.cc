#include "engine/image_helper.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/process.h"
#include "engine/helper_events.h"
#include "engine/host_facts.h"

namespace engine {
namespace {

constexpr int kEventFd = 3;
constexpr int kDirectoryFd = 4;
constexpr std::size_t kMaxLine = 1U << 20U;

base::SpawnOptions plan_helper(const Config& config, const HelperCommand& command, int event_fd) {
  const fs::path program =
      config.image_helper.empty() ? program_beside_us("sampan-image") : config.image_helper;
  base::SpawnOptions options;
  options.program = program.string();
  options.arguments = {"sampan-image", command.words.front(), "--root", config.root.string()};
  options.arguments.insert(options.arguments.end(), command.words.begin() + 1, command.words.end());
  const int output = command.stdout_fd < 0 ? STDERR_FILENO : command.stdout_fd;
  options.descriptors = {
      {command.stdin_fd, 0}, {output, 1}, {STDERR_FILENO, 2}, {event_fd, kEventFd}};
  if (command.directory_fd >= 0) {
    options.descriptors.push_back({command.directory_fd, kDirectoryFd});
  }
  return options;
}

// Lines until nobody writes any more. One that never ends is cut, and then is no JSON.
void read_events(int fd, HelperEvents& decoder) {
  std::string line;
  char buffer[16384];
  for (ssize_t count = 0; (count = read(fd, buffer, sizeof buffer)) != 0;) {
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
}

}  // namespace

nlohmann::json run_image_helper(const Config& config, const HelperCommand& command,
                                const std::function<void(const PullProgress&)>& on_progress) {
  int ends[2] = {-1, -1};
  base::check(pipe2(ends, O_CLOEXEC), "pipe");
  const base::UniqueFd events(ends[0]);
  base::UniqueFd theirs(ends[1]);
  const pid_t helper = base::while_doing("start sampan-image", [&] {
    return base::spawn(plan_helper(config, command, theirs.get()));
  });
  theirs.reset();
  HelperEvents decoder(on_progress);
  read_events(events.get(), decoder);
  return decoder.finish(base::wait_for_child(helper));
}

}  // namespace engine
