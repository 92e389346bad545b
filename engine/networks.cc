#include "engine/networks.h"

#include <algorithm>
#include <set>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/time.h"
#include "engine/bridge_network.h"
#include "engine/cni.h"
#include "engine/network_attach.h"
#include "engine/network_restore.h"
#include "engine/reconcile.h"

namespace engine {
namespace {

using OrderedJson = nlohmann::ordered_json;

bool is_builtin(const std::string& name) {
  return name == kBridgeNetwork || name == "host" || name == "none";
}

// docker's three; ours are there from the first `network` command on.
void make_builtin(Engine& engine) {
  load_or_make_bridge_row(engine.store(), engine.config());
  for (const auto& [name, driver] : {std::pair{"host", "host"}, std::pair{"none", "null"}}) {
    if (engine.store().find_network(name)) continue;
    engine.store().add_network(
        {.name = name, .driver = driver, .options = "{}", .created = base::now()});
  }
}

NetworkInfo make_network_info(const storage::NetworkRow& row, const Config& config) {
  NetworkInfo info{.row = row, .settings = {}, .users = {}};
  if (row.driver != "host" && row.driver != "null") {
    info.settings = parse_network_settings(row, config);
  }
  return info;
}

storage::NetworkRow load_any_row(Engine& engine, std::string_view name_or_id) {
  make_builtin(engine);
  auto row = engine.store().find_network_by(name_or_id);
  if (!row) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "network " + std::string(name_or_id) + " not found");
  }
  return *row;
}

std::vector<NetworkUser> users_of(Engine& engine, const std::string& network) {
  std::vector<NetworkUser> users;
  for (const ContainerInfo& container : engine.list_containers()) {
    if (const Attachment* attachment = container.network.find(network)) {
      users.push_back({container.row.id, container.row.name, *attachment});
    }
  }
  return users;
}

OrderedJson pool_json(const std::string& subnet, const std::string& range,
                      const std::string& gateway, const OrderedJson& reserved) {
  OrderedJson json = {{"Subnet", subnet}};
  if (!range.empty()) json["IPRange"] = range;
  json["Gateway"] = gateway;
  if (!reserved.empty()) json["AuxiliaryAddresses"] = reserved;
  return json;
}

OrderedJson pools_json(const NetworkInfo& info) {
  OrderedJson pools = OrderedJson::array();
  const NetworkSettings& settings = info.settings;
  if (settings.link.subnet.prefix == 0) return pools;  // host, none, CNI
  OrderedJson reserved = OrderedJson::object();
  OrderedJson reserved6 = OrderedJson::object();
  for (const auto& [name, address] : settings.reserved) {
    (address.find(':') == std::string::npos ? reserved : reserved6)[name] = address;
  }
  pools.push_back(pool_json(settings.link.subnet.str(), settings.range ? settings.range->str() : "",
                            settings.link.gateway.str(), reserved));
  if (settings.link.subnet6) {
    pools.push_back(pool_json(settings.link.subnet6->str(),
                              settings.range6 ? settings.range6->str() : "",
                              settings.link.gateway6.str(), reserved6));
  }
  return pools;
}

OrderedJson users_json(const NetworkInfo& info) {
  OrderedJson users = OrderedJson::object();
  for (const NetworkUser& user : info.users) {
    const network::Endpoint& endpoint = user.attachment.endpoint;
    const network::BridgeConfig& link = user.attachment.link;
    users[user.id] = {
        {"Name", user.name},
        {"EndpointID", user.id},
        {"MacAddress", network::format_mac(endpoint.mac)},
        {"IPv4Address", endpoint.address.str() + "/" + std::to_string(link.subnet.prefix)},
        {"IPv6Address", endpoint.address6 && link.subnet6
                            ? endpoint.address6->str() + "/" + std::to_string(link.subnet6->prefix)
                            : ""}};
  }
  return users;
}

}  // namespace

std::string create_network(Engine& engine, const NetworkRequest& request) {
  make_builtin(engine);
  storage::Store& store = engine.store();
  const std::string id = base::random_hex(32);
  if (request.driver == "cni" && request.cni.empty()) {
    throw base::Error(base::ErrorKind::kInvalid, "the driver cni needs --cni-config FILE");
  }
  if (!request.cni.empty()) check_cni(request.cni);
  if (store.find_network(request.name)) {
    throw base::Error(base::ErrorKind::kConflict,
                      "network with name " + request.name + " already exists");
  }
  const NetworkSettings settings =
      plan_network(request, engine.config(), store.root(), id, store.list_networks());
  const storage::NetworkRow row = store.add_network({.name = request.name,
                                                     .driver = request.driver,
                                                     .options = render_network_settings(settings),
                                                     .created = base::now(),
                                                     .id = id,
                                                     .labels = render_labels(request.labels)});
  if (row.id != id) {
    throw base::Error(base::ErrorKind::kConflict,
                      "network with name " + request.name + " already exists");
  }
  if (!settings.cni.empty()) return id;
  try {
    Attachment made;
    made.network = request.name;
    made.network_id = id;
    made.link = settings.link;
    ensure_bridge(store, engine.config(), made);
  } catch (const base::Error&) {
    store.remove_network(id);
    throw;
  }
  return id;
}

std::vector<NetworkInfo> list_networks(Engine& engine) {
  make_builtin(engine);
  std::vector<NetworkInfo> list;
  for (const storage::NetworkRow& row : engine.store().list_networks()) {
    list.push_back(make_network_info(row, engine.config()));
  }
  return list;
}

NetworkInfo load_network(Engine& engine, std::string_view name_or_id) {
  NetworkInfo info = make_network_info(load_any_row(engine, name_or_id), engine.config());
  info.users = users_of(engine, info.row.name);
  return info;
}

std::string inspect_network(const NetworkInfo& info) {
  const NetworkSettings& settings = info.settings;
  const OrderedJson document = {{"Name", info.row.name},
                                {"Id", info.row.id},
                                {"Created", base::format_rfc3339(info.row.created)},
                                {"Scope", "local"},
                                {"Driver", info.row.driver},
                                {"EnableIPv4", true},
                                {"EnableIPv6", settings.link.subnet6.has_value()},
                                {"IPAM",
                                 {{"Driver", settings.cni.empty() ? "default" : "cni"},
                                  {"Options", OrderedJson::object()},
                                  {"Config", pools_json(info)}}},
                                {"Internal", settings.link.internal},
                                {"Attachable", settings.attachable},
                                {"Ingress", false},
                                {"ConfigFrom", {{"Network", ""}}},
                                {"ConfigOnly", false},
                                {"Containers", users_json(info)},
                                {"Options", OrderedJson(settings.options)},
                                {"Labels", OrderedJson::parse(info.row.labels, nullptr, false)}};
  return document.dump();
}

std::string remove_network(Engine& engine, std::string_view name_or_id) {
  const storage::NetworkRow row = load_any_row(engine, name_or_id);
  if (is_builtin(row.name)) {
    throw base::Error(base::ErrorKind::kConflict,
                      row.name + " is a pre-defined network and cannot be removed");
  }
  const NetworkInfo info = make_network_info(row, engine.config());
  if (!users_of(engine, row.name).empty()) {
    throw base::Error(base::ErrorKind::kConflict, "error while removing network: network " +
                                                      row.name + " id " + row.id +
                                                      " has active endpoints");
  }
  // The link before the row: a kill in between leaves a network whose bridge is made when it is
  // used next.
  if (info.settings.cni.empty()) network::remove_network(info.settings.link);
  try {
    engine.store().remove_network(row.id);
  } catch (const base::Error& error) {
    // A container was quicker, or another command that removes it.
    if (error.kind() == base::ErrorKind::kConflict && info.settings.cni.empty()) {
      ensure_bridge(engine.store(), engine.config(), info.settings.link);
    }
    throw;
  }
  // What a start made in between; one that comes later sees that the row is gone.
  if (info.settings.cni.empty()) network::remove_network(info.settings.link);
  return row.name;
}

std::vector<std::string> prune_networks(Engine& engine,
                                        const std::function<bool(const NetworkInfo&)>& keep) {
  std::set<std::string> used;
  for (const ContainerInfo& container : engine.list_containers()) {
    for (const NetworkOption& option : container.options.networks) used.insert(option.name);
    for (const Attachment& attachment : container.network.attachments) {
      used.insert(attachment.network);
    }
  }
  std::vector<std::string> removed;
  for (const NetworkInfo& info : list_networks(engine)) {
    if (is_builtin(info.row.name) || used.contains(info.row.name) || keep(info)) continue;
    try {
      removed.push_back(remove_network(engine, info.row.name));
    } catch (const base::Error& error) {
      // A container was quicker, or somebody else removed it.
      if (error.kind() != base::ErrorKind::kConflict &&
          error.kind() != base::ErrorKind::kNotFound) {
        throw;
      }
    }
  }
  return removed;
}

}  // namespace engine
