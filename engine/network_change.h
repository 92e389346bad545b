// Network change: what `network connect`, `disconnect` and `update --publish-*` ask of a container;
// carried out by its monitor while it runs.
#pragma once

#include <string>
#include <string_view>

#include "engine/bundle.h"
#include "engine/monitor_start.h"

namespace engine {

struct NetworkChange {
  enum class Action : std::uint8_t { kConnect, kDisconnect, kPublish } action = Action::kConnect;
  // Of kConnect and kDisconnect one network; of kPublish the ports that come.
  ContainerOptions add;
  ContainerOptions remove;  // of kPublish the ports that go
};
std::string render_network_change(const NetworkChange& change);
NetworkChange parse_network_change(std::string_view text);

// What the container's next starts are told. Throws with docker's words where the change makes no
// sense.
void change_options(ContainerOptions& options, const NetworkChange& change);

// In the monitor: links, addresses, ports, names, row and network.json. All or nothing.
void change_running(storage::Store& store, const Config& config, const RunDirectory& directory,
                    StartedContainer& container, const NetworkChange& change);

}  // namespace engine
