// ContainerLog: the log of a container, written or read as its row says.
#pragma once

#include "engine/log/log_view.h"
#include "engine/log_plan.h"
#include "storage/store.h"

namespace engine {

// Of --log-driver json-file or local; others have no file.
fs::path log_path(const storage::Store& store, const std::string& id, const std::string& driver);

// Throws where the host has not what the driver needs.
LogWriter open_log(storage::Store& store, const storage::ContainerRow& row,
                   const ContainerOptions& options);

// `writer`: a pidfd of the process that writes it, to be followed until its end; -1: nobody is.
void read_log(storage::Store& store, const storage::ContainerRow& row,
              const ContainerOptions& options, LogOptions wanted, LogSink sink, int writer);

}  // namespace engine
