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

void record_start(storage::Store& store, const std::string& id, const base::ProcessId& init,
                  const NetworkState& network);

// The row of a container whose program never ran: removed with --rm, else "created" with the reason
// and the exit code that `run` has (127, 126 or 128).
void record_failure(storage::Store& store, const storage::ContainerRow& row,
                    const base::Error& error);

// True where the row is gone: --rm. The address is free again either way.
bool record_exit(storage::Store& store, const storage::ContainerRow& row, int code,
                 bool oom_killed);

void record_status(storage::Store& store, const std::string& id, storage::ContainerStatus status);

// The writable layer, log and anonymous volumes of a container whose row is gone. Cheap: what is
// large goes to the trash.
void discard_container_files(storage::Store& store, const storage::ContainerRow& row,
                             const ContainerOptions& options) noexcept;

std::filesystem::path log_path(const storage::Store& store, const std::string& id);

}  // namespace engine
