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
  // `names`: the repositories ("docker.io/library/alpine") or registries ("localhost:5000") that
  // will be spoken of, if any; only the credentials of their servers are given out to
  // sampan-registry. What files say about mirrors and certificates is read here, with the caller's
  // rights.
  RegistryAccess(registry::Setup setup, const std::vector<std::string>& names);
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
