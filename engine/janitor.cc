#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"
#include "base/trace.h"
#include "engine/engine.h"

namespace engine {
namespace {

// Of <linux/ioprio.h>, which is no C++ in every Debian 12: ioprio_set(2), NOTES.
constexpr int kIoprioWhoProcess = 1;
constexpr int kIoprioIdle = 3 << 13;
constexpr int kNicest = 19;

}  // namespace

void start_janitor(const Config& config) {
  const base::TraceStep step("engine", "start the janitor");
  const base::UniqueFd self = base::open_self_read_only();
  base::SpawnOptions options;
  options.program_fd = self.get();
  options.arguments = {"sampan", "__janitor", "--root", config.root.string()};
  options.environment.emplace();
  options.descriptors = {{-1, 0}, {-1, 1}, {-1, 2}};
  options.new_session = true;
  base::spawn(options);
}

int run_janitor(int argc, char** argv) {
  if (argc != 4) return 1;
  setpriority(PRIO_PROCESS, 0, kNicest);
  syscall(SYS_ioprio_set, kIoprioWhoProcess, 0, kIoprioIdle);
  if (chdir("/") != 0) return 1;
  try {
    storage::Store(argv[3]).discard_trash();
  } catch (const std::exception&) {
    return 1;  // the next command tries again
  }
  return 0;
}

}  // namespace engine
