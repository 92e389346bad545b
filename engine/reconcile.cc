#include "engine/reconcile.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <dirent.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/trace.h"
#include "engine/exit_record.h"
#include "engine/monitor_start.h"
#include "engine/network_links.h"
#include "engine/network_restore.h"

namespace engine {
namespace {

constexpr int kKilled = 137;                // what a container whose monitor died is reported as
constexpr int kLostByBoot = 255;            // docker's for one that a reboot ended
constexpr char kRevivedMark[] = "revived";  // in the state directory: this boot is taken care of
constexpr int kKillMilliseconds = 10'000;

bool is_id(std::string_view name) {
  return name.size() == 64 && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::vector<std::string> list_names(const fs::path& folder) {
  std::vector<std::string> names;
  const base::CHandle<DIR, closedir> stream(opendir(folder.c_str()));
  if (!stream) return names;
  while (const dirent* entry = readdir(stream.get())) names.emplace_back(entry->d_name);
  return names;
}

void kill_init(const storage::ContainerRow& row) {
  if (row.boot_id != base::boot_id()) return;
  const auto process = base::open_process(row.init);
  if (!process) return;
  base::send_signal(process->get(), SIGKILL);
  base::wait_for_exit(process->get(), kKillMilliseconds);
}

void record_orphan(storage::Store& store, const storage::ContainerRow& row) {
  const ContainerOptions options = parse_options(row.options);
  const bool same_boot = row.boot_id == base::boot_id();
  if (is_active(row.status)) {
    if (!record_exit(store, row, {.code = same_boot ? kKilled : kLostByBoot})) return;
  } else if (row.status == storage::ContainerStatus::kCreated && row.auto_remove) {
    store.remove_container(row.id);
  } else {
    if (!parse_options(row.options).networks.empty()) store.set_hosts(row.id, {});
    return;
  }
  discard_container_files(store, row, options);
}

// A directory whose lock was free: its command or monitor was killed. True where its container is
// to run again.
bool settle_leftover(storage::Store& store, const RunDirectory& directory, const std::string& id) {
  const auto lock = directory.try_lock();
  if (!lock) return false;
  base::trace("engine", "settle what was left of container " + id);
  const auto row = store.find_container(id);
  if (row) kill_init(*row);
  const bool gone = tear_down(directory);
  if (row) record_orphan(store, *row);
  if (gone) directory.remove();
  return row && is_active(row->status) && !row->auto_remove &&
         should_return(parse_options(row->options).restart, false);
}

// Of a container that runs; nothing where its file is just being written.
NetworkState find_networks(const RunDirectory& directory) {
  try {
    return parse_network_links(base::find_file(directory.network_file()).value_or(""));
  } catch (const base::Error&) {
    return {};
  }
}

}  // namespace

bool has_process(storage::ContainerStatus status) {
  return status == storage::ContainerStatus::kRunning ||
         status == storage::ContainerStatus::kPaused;
}

bool is_active(storage::ContainerStatus status) {
  return has_process(status) || status == storage::ContainerStatus::kRestarting;
}

std::optional<storage::ContainerRow> settle_orphan(storage::Store& store, const Config& config,
                                                   const storage::ContainerRow& row) {
  settle_leftover(store, RunDirectory(config.state, row.id), row.id);
  return store.find_container(row.id);
}

std::vector<std::string> list_wanted(storage::Store& store, StoppedToo stopped_too) {
  std::vector<std::string> wanted;
  for (const storage::ContainerRow& row : store.list_containers()) {
    if (row.status != storage::ContainerStatus::kExited || row.started == 0) continue;
    if (row.stopped && stopped_too == StoppedToo::kNo) continue;
    if (should_return(parse_options(row.options).restart, row.stopped)) wanted.push_back(row.id);
  }
  std::reverse(wanted.begin(), wanted.end());  // the oldest first
  return wanted;
}

void mark_revived(const Config& config) { base::write_file(config.state / kRevivedMark, ""); }

std::vector<std::string> reconcile(storage::Store& store, const Config& config, bool& is_revived) {
  const bool first = mkdir(config.state.c_str(), 0711) == 0;
  if (!first && errno != EEXIST) base::make_dirs(config.state, 0711);
  bool has_strays = false;
  is_revived = false;
  NetworkState example;
  std::vector<std::string> lost;
  for (const std::string& name : list_names(config.state)) {
    if (name.starts_with(RunDirectory::kGonePrefix)) {
      base::remove_tree_quietly(config.state / name);
    } else if (name == kRestoringMark) {
      has_strays = true;
    } else if (name == kRevivedMark) {
      is_revived = true;
    } else if (is_id(name)) {
      const RunDirectory directory(config.state, name);
      if (!directory.is_locked()) {
        if (settle_leftover(store, directory, name)) lost.push_back(name);
      } else if (example.translated() == nullptr) {
        example = find_networks(directory);
      }
    }
  }
  if (has_strays) withdraw_strays(store, config);
  if (example.translated() != nullptr) restore_network(store, config, example);
  if (is_revived) return lost;
  for (const storage::ContainerRow& row : store.list_containers()) {
    if (is_active(row.status) && !RunDirectory(config.state, row.id).is_locked()) {
      settle_orphan(store, config, row);
    }
  }
  return list_wanted(store, StoppedToo::kYes);
}

}  // namespace engine
