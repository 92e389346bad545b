#include "engine/shared_network.h"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <optional>
#include <set>
#include <sstream>
#include <sys/stat.h>
#include <thread>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/monitor_start.h"
#include "runtime/container.h"

namespace engine {
namespace {

constexpr auto kPatience = std::chrono::seconds(2);
constexpr auto kInterval = std::chrono::milliseconds(1);

fs::path sharers_file(const RunDirectory& owner) { return owner.path() / "sharers"; }

base::UniqueFd open_network(const std::string& process) {
  return base::UniqueFd(open(("/proc/" + process + "/ns/net").c_str(), O_RDONLY | O_CLOEXEC));
}

bool is_same(int left, int right) {
  struct stat a = {};
  struct stat b = {};
  base::check(fstat(left, &a), "stat");
  base::check(fstat(right, &b), "stat");
  return a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

// Nothing where its process has not joined yet: until then it has the network of its monitor, which
// is ours.
base::UniqueFd find_joined_network(const RunDirectory& sharer) {
  std::optional<runtime::State> state;
  try {
    state = runtime::load_state(sharer.runtime());
  } catch (const base::Error&) {  // not written yet, or gone
    return {};
  }
  if (state->init.pid <= 0) return {};
  base::UniqueFd theirs = open_network(std::to_string(state->init.pid));
  const base::UniqueFd ours = open_network("self");
  if (!theirs || !ours || is_same(theirs.get(), ours.get())) return {};
  return theirs;
}

// The lock tells who is starting or running; after it, nothing is to be waited for.
base::UniqueFd wait_for_network(const RunDirectory& sharer) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (sharer.is_locked() && std::chrono::steady_clock::now() < deadline) {
    if (base::UniqueFd found = find_joined_network(sharer)) return found;
    std::this_thread::sleep_for(kInterval);
  }
  return {};
}

}  // namespace

void note_sharer(const RunDirectory& owner, const std::string& sharer) {
  const fs::path file = sharers_file(owner);
  const base::UniqueFd fd(
      open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd && errno == ENOENT) return;
  base::check(fd.get(), file.string());
  base::write_all(fd.get(), sharer + "\n");
}

void disconnect_sharers(const RunDirectory& owner, const NetworkState& network) {
  const auto text = base::find_file(sharers_file(owner));
  if (!text || network.attachments.empty()) return;
  const base::TraceStep step("engine", "take the links away from who shares the network");
  std::istringstream lines(*text);
  std::set<std::string> sharers;
  for (std::string id; std::getline(lines, id);) sharers.insert(id);
  for (const std::string& id : sharers) {
    const base::UniqueFd netns = wait_for_network(RunDirectory(owner.path().parent_path(), id));
    if (!netns) continue;
    for (const Attachment& attachment : network.attachments) {
      disconnect_attachment(attachment, netns.get());
    }
  }
}

}  // namespace engine
