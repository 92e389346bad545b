#include "engine/exit_record.h"

#include <unistd.h>

#include "base/time.h"
#include "engine/events.h"
#include "engine/network_attach.h"
#include "engine/volumes.h"

namespace engine {
namespace {

// As docker's `run` exits where the program could not be started.
int start_exit_code(base::ErrorKind kind) {
  switch (kind) {
    case base::ErrorKind::kCommandNotFound:
      return 127;
    case base::ErrorKind::kCommandNotRunnable:
      return 126;
    default:
      return 128;
  }
}

}  // namespace

void record_names(storage::Store& store, const std::string& id, const NetworkState& network) {
  if (!has_name_server(network)) return;
  if (const auto row = store.find_container(id)) store.set_hosts(id, plan_hosts(*row, network));
}

void record_start(storage::Store& store, const std::string& id, const base::ProcessId& init,
                  const NetworkState& network, StartedBy by) {
  const base::ProcessId monitor = base::find_process(getpid()).value_or(base::ProcessId{});
  store.modify_container(id, [&](storage::ContainerRow& row) {
    row.status = storage::ContainerStatus::kRunning;
    row.started = base::now();
    row.finished = 0;
    row.init = init;
    row.monitor = monitor;
    row.boot_id = base::boot_id();
    row.exit_code = 0;
    row.oom_killed = false;
    row.error.clear();
    row.ports = render_network_state(network);
    if (by == StartedBy::kUser) row.restarts = 0;
    row.stopped = false;
  });
}

int record_failure(storage::Store& store, const storage::ContainerRow& row,
                   const base::Error& error) {
  const int code = start_exit_code(error.kind());
  if (row.auto_remove) {
    store.remove_container(row.id);
    discard_container_files(store, row, parse_options(row.options));
    return code;
  }
  store.set_hosts(row.id, {});
  store.modify_container(row.id, [&](storage::ContainerRow& current) {
    current.status = current.started == 0 ? storage::ContainerStatus::kCreated
                                          : storage::ContainerStatus::kExited;
    current.exit_code = code;
    current.error = error.what();
    current.init = {};
    current.monitor = {};
    current.ports.clear();
  });
  return code;
}

bool record_exit(storage::Store& store, const storage::ContainerRow& row, const ExitFacts& facts) {
  if (facts.oom_killed) add_container_event(store, row, "oom");
  if (row.auto_remove) {
    store.remove_container(row.id);
    return true;
  }
  NetworkState networks;
  bool comes_back = false;
  const auto written = store.modify_container(row.id, [&](storage::ContainerRow& current) {
    current.status = storage::ContainerStatus::kExited;
    current.exit_code = facts.code;
    current.oom_killed = facts.oom_killed;
    current.stopped = facts.stopped;
    current.finished = base::now();
    current.init = {};
    current.monitor = {};
    networks = parse_network_state(current.ports);
    comes_back = should_return(parse_options(current.options).restart, facts.stopped);
    current.ports.clear();
  });
  if (comes_back) {
    store.set_hosts(row.id, {});  // its addresses wait for it
  } else {
    release_networks(store, row.id, networks);
  }
  return !written;
}

void record_restarting(storage::Store& store, const std::string& id, int code, bool oom_killed) {
  store.set_hosts(id, {});
  store.modify_container(id, [&](storage::ContainerRow& row) {
    row.status = storage::ContainerStatus::kRestarting;
    row.exit_code = code;
    row.oom_killed = oom_killed;
    row.finished = base::now();
    row.init = {};
    ++row.restarts;
    row.ports.clear();
  });
}

void record_stay(storage::Store& store, const std::string& id, bool stopped) {
  bool leased = false;
  store.modify_container(id, [&](storage::ContainerRow& row) {
    row.status = storage::ContainerStatus::kExited;
    row.monitor = {};
    row.stopped = stopped;
    leased = !should_return(parse_options(row.options).restart, stopped);
  });
  if (!leased) return;
  for (const storage::Lease& lease : store.list_leases()) {
    if (lease.container == id) store.release_address(id, lease.network);
  }
}

void record_health_change(storage::Store& store, const std::string& id, const Health& health) {
  const auto row = store.find_container(id);
  if (row) {
    add_container_event(store, *row, std::string("health_status: ") + health_word(health.status));
  }
}

std::filesystem::path health_path(const storage::Store& store, const std::string& id) {
  return store.container_dir(id) / "health.json";
}

void record_status(storage::Store& store, const std::string& id, storage::ContainerStatus status) {
  store.modify_container(id, [&](storage::ContainerRow& row) { row.status = status; });
}

void discard_container_files(storage::Store& store, const storage::ContainerRow& row,
                             const ContainerOptions& options) noexcept {
  try {
    const auto folder = store.container_dir(row.id);
    if (access(folder.c_str(), F_OK) == 0) store.move_to_trash(folder);
    remove_anonymous_volumes(store, options);
  } catch (const base::Error&) {  // directories without a row: the sweep's
  }
}

}  // namespace engine
