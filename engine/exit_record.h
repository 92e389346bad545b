// What becomes of a container's row at its turns: started, failed, paused, ended.
#pragma once

#include <string>

#include "base/error.h"
#include "base/process.h"
#include "engine/bridge_network.h"
#include "engine/options.h"
#include "storage/store.h"

namespace engine {

// Its names on networks of the user's: kNotFound where one of those has been removed meanwhile.
void record_names(storage::Store& store, const std::string& id, const NetworkState& network);

// A user's start forgets how often the policy had to start it, and that it was stopped.
enum class StartedBy { kUser, kPolicy };
void record_start(storage::Store& store, const std::string& id, const base::ProcessId& init,
                  const NetworkState& network, StartedBy by);

// The row of a container whose program never ran: removed with --rm, else "created" (or "exited",
// where it ran before) with the reason and the exit code that `run` has (127, 126 or 128), which is
// returned.
int record_failure(storage::Store& store, const storage::ContainerRow& row,
                   const base::Error& error);

// True where the row is gone: --rm. The address is free again, unless the container's restart
// policy will want it back after a reboot.
struct ExitFacts {
  int code = 0;
  bool oom_killed = false;
  bool stopped = false;  // by a user
};
bool record_exit(storage::Store& store, const storage::ContainerRow& row, const ExitFacts& facts);

// It has ended and will be started again; it keeps its address.
void record_restarting(storage::Store& store, const std::string& id, int code, bool oom_killed);
// It was to be started again, and now is not.
void record_stay(storage::Store& store, const std::string& id, bool stopped);

// The event "health_status: healthy".
void record_health_change(storage::Store& store, const std::string& id, const Health& health);
std::filesystem::path health_path(const storage::Store& store, const std::string& id);

void record_status(storage::Store& store, const std::string& id, storage::ContainerStatus status);

// The writable layer, log and anonymous volumes of a container whose row is gone. Cheap: what is
// large goes to the trash.
void discard_container_files(storage::Store& store, const storage::ContainerRow& row,
                             const ContainerOptions& options) noexcept;

}  // namespace engine
