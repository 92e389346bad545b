// URL file: what a web server has at an address, as a file of ours.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/unique_fd.h"
#include "registry/remote/remote_client.h"

namespace engine {

struct UrlFileOptions {
  std::uint64_t limit = 0;       // bytes
  std::filesystem::path folder;  // where the file lies, without a name
};

// All of it, from its beginning on. `on_progress` hears how much is here.
base::UniqueFd fetch_url_file(registry::RemoteClient& client, const std::string& address,
                              const UrlFileOptions& options,
                              const std::function<void(std::uint64_t)>& on_progress);

}  // namespace engine
