// ContainerRoot: the files of a container, running or not, below one descriptor.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "engine/engine_state.h"

namespace engine {

// Of a running container: the root of its first process, with all that is mounted there; nobody
// enters its namespaces. Of any other: its layers, volumes and binds in a private mount, under the
// container's lock, so that it does not start meanwhile. Paths below it are for openat2(2) only.
class ContainerRoot {
 public:
  ContainerRoot(Engine::State& state, std::string_view name_or_id);
  ContainerRoot(const ContainerRoot&) = delete;
  ContainerRoot& operator=(const ContainerRoot&) = delete;
  ~ContainerRoot();

  int fd() const { return root_.get(); }
  const storage::ContainerRow& row() const { return row_; }
  const ContainerOptions& options() const { return options_; }

 private:
  bool open_stopped(Engine::State& state);
  bool open_running();

  storage::ContainerRow row_;
  ContainerOptions options_;
  RunDirectory directory_;
  base::UniqueFd root_;
  std::optional<base::UniqueFd> lock_;  // of one that does not run
};

}  // namespace engine
