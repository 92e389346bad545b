// Attachments: the networks that a container's options name, planned, leased and written down.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "engine/network_settings.h"
#include "engine/network_state.h"
#include "oci/image_config.h"
#include "storage/store.h"

namespace engine {

// The row of a network of the user's or of the default bridge, which is made on first use; throws
// kNotFound with docker's words.
storage::NetworkRow load_network_row(storage::Store& store, const Config& config,
                                     std::string_view name_or_id);

// Names in place of ids, of networks and of the container whose network is shared.
void resolve_networks(storage::Store& store, const Config& config, ContainerOptions& options);

struct AttachmentPlan {
  Attachment attachment;                      // without addresses
  std::vector<storage::LeaseRequest> leases;  // IPv4, then IPv6 where the network has it
};
AttachmentPlan plan_attachment(storage::Store& store, const Config& config,
                               const NetworkOption& option);
std::vector<AttachmentPlan> plan_attachments(storage::Store& store, const Config& config,
                                             const ContainerOptions& options);

std::vector<storage::LeaseRequest> all_leases(const std::vector<AttachmentPlan>& plans);
// `addresses` as leased, in the order of all_leases().
NetworkState make_network_state(const std::vector<AttachmentPlan>& plans,
                                const std::vector<std::uint32_t>& addresses,
                                const std::string& container_id);
// All of it for a container that exists and starts again.
NetworkState lease_networks(storage::Store& store, const Config& config,
                            const ContainerOptions& options, const std::string& container_id);
// Numbers the interfaces and says who has the default route (NetworkState::gateway()).
void order_attachments(NetworkState& state);
// What to publish, on the attachment that does; host ports may still be 0.
void set_ports(NetworkState& state, const ContainerOptions& options, const oci::ImageConfig& image,
               const Config& config, storage::Store& store);

// The names by which others find the container, on networks of the user's.
std::vector<storage::HostRow> plan_hosts(const storage::ContainerRow& row,
                                         const NetworkState& state);
// Whether its monitor answers for names: on networks of the user's.
bool has_name_server(const NetworkState& state);
// The network namespace of a container that runs; kConflict with docker's words where it does not.
std::string shared_network(storage::Store& store, const std::string& container);
// Takes back names and addresses of a container that has ended.
void release_networks(storage::Store& store, const std::string& container,
                      const NetworkState& state);

}  // namespace engine
