#include "engine/stop_signal.h"

#include <charconv>
#include <dirent.h>
#include <string>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/files.h"
#include "engine/process_status.h"

namespace engine {
namespace {

// Whether a thread waits for signals by sigtimedwait(2), as tini and our own init do. While it
// does, the kernel shows what it waits for as not blocked. Where that can't be told it is taken for
// one.
bool may_await_signals(const std::string& task) {
  const auto text = base::find_file(task + "/syscall");
  if (!text) return true;
  long number = -1;  // "running" and no number where it is not in a system call
  std::from_chars(text->data(), text->data() + text->size(), number);
  constexpr long k32Bit = 177, k32BitTime64 = 421;  // of x86 and arm
  return number == SYS_rt_sigtimedwait || number == k32Bit || number == k32BitTime64;
}

}  // namespace

bool loses_signal(std::string_view status, int signal) {
  const std::string_view pids = status_field(status, "NSpid:");
  const std::string_view caught = status_field(status, "SigCgt:");
  if (pids.empty() || caught.empty()) return false;
  const std::size_t last = pids.find_last_of(" \t");
  if (last == std::string_view::npos || pids.substr(last + 1) != "1") return false;
  return !has_signal(caught, signal) && !has_signal(status_field(status, "SigBlk:"), signal);
}

bool loses_signal(pid_t pid, int signal) {
  const std::string tasks = "/proc/" + std::to_string(pid) + "/task";
  const base::CHandle<DIR, closedir> stream(opendir(tasks.c_str()));
  if (!stream) return false;
  bool seen = false;
  while (const dirent* entry = readdir(stream.get())) {
    if (entry->d_name[0] == '.') continue;
    std::string file = tasks;
    file.append("/").append(entry->d_name);
    // Before and after: it may begin or end to wait while we look.
    bool waits = may_await_signals(file);
    const std::string status = base::find_file(file + "/status").value_or("");
    waits = may_await_signals(file) || waits;
    if (waits) return false;
    // A thread is numbered for itself; the process is what counts.
    if (entry->d_name != std::to_string(pid)) {
      if (has_signal(status_field(status, "SigBlk:"), signal)) return false;
      continue;
    }
    if (!loses_signal(status, signal)) return false;
    seen = true;
  }
  return seen;
}

}  // namespace engine
