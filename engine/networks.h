// Networks: what the `network` commands do, without their printing.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "engine/network_settings.h"

namespace engine {

struct NetworkRequest {
  std::string name, driver = "bridge";
  std::vector<std::string> subnets, gateways, ranges;
  std::vector<std::string> reserved;  // "name=address"
  std::map<std::string, std::string> options, labels;
  bool internal = false, ipv6 = false, attachable = false;
  std::string cni;  // a configuration list, for the driver "cni"
};

// Pure but for the host's networks: what the request asks for, checked. Throws kInvalid and
// kConflict with docker's words.
NetworkSettings plan_network(const NetworkRequest& request, const Config& config,
                             const std::filesystem::path& root, const std::string& id,
                             const std::vector<storage::NetworkRow>& others);

// Makes the row, then the bridge; returns the id.
std::string create_network(Engine& engine, const NetworkRequest& request);

struct NetworkUser {
  std::string id, name;
  Attachment attachment;
};
struct NetworkInfo {
  storage::NetworkRow row;
  NetworkSettings settings;
  std::vector<NetworkUser> users;  // that run; only of load_network()
};
// bridge, host and none among them.
std::vector<NetworkInfo> list_networks(Engine& engine);
NetworkInfo load_network(Engine& engine, std::string_view name_or_id);
std::string inspect_network(const NetworkInfo& info);  // docker's document, JSON

std::string remove_network(Engine& engine, std::string_view name_or_id);  // its name
// Those that no container is on, running or not, and that `keep` does not want.
std::vector<std::string> prune_networks(Engine& engine,
                                        const std::function<bool(const NetworkInfo&)>& keep);

// At once where the container runs, and for all its starts from now on.
void connect_network(Engine& engine, std::string_view name_or_id, const NetworkOption& option);
enum class DisconnectForce { kNo, kYes };
void disconnect_network(Engine& engine, std::string_view name_or_id, std::string_view network,
                        DisconnectForce force);
// `update --publish-add` and `--publish-rm`; what goes is "80/tcp", or names a host port as -p
// does.
void change_ports(Engine& engine, std::string_view name_or_id, const std::vector<PortOption>& add,
                  const std::vector<PortOption>& remove);

}  // namespace engine
