#include "engine/janitor.h"

#include <algorithm>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"
#include "base/trace.h"

namespace engine {
namespace {

// Of <linux/ioprio.h>, which is no C++ in every Debian 12: ioprio_set(2), NOTES.
constexpr int kIoprioWhoProcess = 1;
constexpr int kIoprioIdle = 3 << 13;
constexpr int kNicest = 19;

}  // namespace

void start_janitor(const Config& config) { start_janitor_with(config, {}); }

void start_janitor_with(const Config& config, const CacheBudget& budget) {
  const base::TraceStep step("engine", "start the janitor");
  const base::UniqueFd self = base::open_self_read_only();
  base::SpawnOptions options;
  options.program_fd = self.get();
  options.arguments = {"sampan", "__janitor", "--root", config.root.string(),
                       config.image_helper.string()};
  options.environment.emplace();
  for (std::string& word : render_budget(budget)) options.arguments.push_back(std::move(word));
  options.descriptors = {{-1, 0}, {-1, 1}, {-1, 2}};
  options.new_session = true;
  base::spawn(options);
}

int run_janitor(int argc, char** argv) {
  if (argc < 4) return 1;
  setpriority(PRIO_PROCESS, 0, kNicest);
  syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, kIoprioIdle);
  if (chdir("/") != 0) return 1;
  try {
    Config config;
    config.root = argv[3];
    if (argc > 4) config.image_helper = argv[4];
    const CacheBudget budget = parse_budget({argv + std::min(argc, 5), argv + argc});
    if (budget.is_set()) keep_budget(config, budget);
    storage::Store(config.root).discard_trash();
  } catch (const std::exception&) {
    return 1;  // the next command tries again
  }
  return 0;
}

}  // namespace engine
