#include "engine/stuck_process.h"

#include <sstream>
#include <vector>

#include "base/files.h"
#include "base/process.h"

namespace engine {
namespace {

constexpr std::size_t kMostProcesses = 10'000;

struct ProcessState {
  std::string name;
  char letter = 0;
};

std::string read_quietly(const std::string& path) {
  try {
    return base::find_file(path).value_or("");
  } catch (const std::exception&) {  // it ended meanwhile
    return {};
  }
}

// "12 (a name) D …": the name may hold anything, parentheses too.
ProcessState state_of(const std::string& folder) {
  const std::string text = read_quietly(folder + "/stat");
  const std::size_t open = text.find('(');
  const std::size_t close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos || close + 2 >= text.size())
    return {};
  return {.name = text.substr(open + 1, close - open - 1), .letter = text[close + 2]};
}

std::vector<std::string> threads_of(pid_t pid) {
  std::vector<std::string> folders;
  std::error_code gone;
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  for (std::filesystem::directory_iterator it(tasks, gone), end; !gone && it != end;
       it.increment(gone)) {
    folders.push_back(it->path());
  }
  return folders;
}

}  // namespace

std::string find_stuck_process(pid_t first) {
  std::vector<pid_t> open = {first};
  for (std::size_t seen = 0; !open.empty() && seen < kMostProcesses; ++seen) {
    const pid_t pid = open.back();
    open.pop_back();
    for (const std::string& folder : threads_of(pid)) {
      if (const ProcessState state = state_of(folder); state.letter == 'D') {
        const std::string where = read_quietly(folder + "/wchan");
        return "process " + std::to_string(pid) + " (" + state.name +
               ") is in an uninterruptible sleep" +
               (where.empty() || where == "0" ? "" : " (" + where + ")");
      }
      std::istringstream children(read_quietly(folder + "/children"));
      for (pid_t child = 0; children >> child;) open.push_back(child);
    }
  }
  return {};
}

std::string explain_no_end(const storage::ContainerRow& row) {
  if (row.init.pid > 0) {
    if (const std::string stuck = find_stuck_process(row.init.pid); !stuck.empty()) {
      return ": " + stuck;
    }
  }
  const auto init = base::open_process(row.init);
  if (init && !base::has_exited(init->get())) return {};
  return ": its monitor, process " + std::to_string(row.monitor.pid) + ", does not answer";
}

}  // namespace engine
