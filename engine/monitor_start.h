// What a monitor does first: the container from its bundle, its network, its streams.
#pragma once

#include <vector>

#include "base/unique_fd.h"
#include "engine/bridge_network.h"
#include "engine/engine.h"
#include "engine/port_reservation.h"
#include "engine/run_directory.h"
#include "runtime/container.h"
#include "storage/store.h"

namespace engine {

struct StartedContainer {
  storage::ContainerRow row;
  ContainerOptions options;
  NetworkState network;
  PortReservation ports;
  runtime::Created process;
  base::UniqueFd in, out, err;  // our ends; with a terminal only process.console
};

// Creates the container from <state>/<id>/config.json and connects it; its program waits for
// runtime::start(). On an error nothing is left but the directories and the row.
StartedContainer create_from_bundle(storage::Store& store, const Config& config,
                                    const RunDirectory& directory, const std::string& id,
                                    const runtime::HostView* host);

// One of its networks, in the container's network namespace.
void connect_attachment(Attachment& attachment, int netns_fd);
void disconnect_attachment(const Attachment& attachment, int netns_fd);
void unpublish_ports(const NetworkState& state);

// Firewall elements, control groups and runtime state of a container that has ended or must: what
// was published is read from network.json. Never throws. False where something resists: the run
// directory, which names it, must then stay for the next command's sweep.
[[nodiscard]] bool tear_down(const RunDirectory& directory) noexcept;

}  // namespace engine
