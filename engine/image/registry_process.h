// RegistryProcess: the program sampan-registry, started for one command, and the way to it.
#pragma once

#include <filesystem>
#include <memory>
#include <sys/types.h>

#include "registry/remote/remote_client.h"

namespace engine {

struct RegistryProcessOptions {
  std::filesystem::path program;  // empty: sampan-registry beside our own program
  registry::Setup setup;
  // What answers questions for credentials (registry/remote/messages.h), a stream socket; nobody
  // where it is -1. Borrowed.
  int broker_fd = -1;
};

// Ends with this object, or when our process does. Start it before rights are given up: it gives up
// its own, more than we can.
class RegistryProcess {
 public:
  explicit RegistryProcess(const RegistryProcessOptions& options);
  RegistryProcess(const RegistryProcess&) = delete;
  RegistryProcess& operator=(const RegistryProcess&) = delete;
  ~RegistryProcess();

  registry::RemoteClient& client() { return *client_; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = 0;
  std::unique_ptr<registry::RemoteClient> client_;
};

}  // namespace engine
