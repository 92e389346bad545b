// RegistryAccess: the processes beside a command that talks to registries, started before it gives
// up its own rights.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "engine/image/registry_process.h"

namespace cli {

// Starts sampan-registry and, where there may be credentials, the broker that reads them as the
// caller; then gives up this process's privileges. Both end with this object, or with the process.
class RegistryAccess {
 public:
  // `domains`: the registries ("docker.io", "localhost:5000") whose credentials are given out to
  // sampan-registry, and no others.
  RegistryAccess(const registry::Setup& setup, const std::vector<std::string>& domains);
  RegistryAccess(const RegistryAccess&) = delete;
  RegistryAccess& operator=(const RegistryAccess&) = delete;
  ~RegistryAccess();

  registry::RemoteClient& client() { return process_->client(); }

 private:
  base::UniqueFd start_broker(const std::vector<std::string>& domains);

  pid_t broker_ = 0;
  std::optional<engine::RegistryProcess> process_;
};

}  // namespace cli
