// network create, connect, disconnect, rm and prune.
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/network_flags.h"
#include "engine/cache_prune.h"
#include "engine/networks.h"

namespace cli {
namespace {

std::map<std::string, std::string> pairs_in(const Words& entries) {
  std::map<std::string, std::string> pairs;
  for (const std::string& entry : entries) {
    const std::size_t equals = entry.find('=');
    pairs[entry.substr(0, equals)] = equals == std::string::npos ? "" : entry.substr(equals + 1);
  }
  return pairs;
}

bool has_pair(const nlohmann::json& labels, const std::string& wanted) {
  const std::size_t split = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, split));
  return found != labels.end() &&
         (split == std::string::npos || *found == wanted.substr(split + 1));
}

bool is_kept(const engine::NetworkInfo& info, const engine::PruneFilter& filter) {
  const auto labels = nlohmann::json::parse(info.row.labels, nullptr, false);
  if (filter.until && info.row.created > *filter.until) return true;
  for (const std::string& label : filter.labels) {
    if (!has_pair(labels, label)) return true;
  }
  for (const std::string& label : filter.without_labels) {
    if (has_pair(labels, label)) return true;
  }
  return false;
}

bool is_prune_confirmed() {
  print(
      "WARNING! This will remove all custom networks not used by at least one container.\n"
      "Are you sure you want to continue? [y/N] ");
  char answer = '\0';
  char byte = '\0';
  while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n') {
    if (answer == '\0' && byte != ' ') answer = byte;
  }
  return answer == 'y' || answer == 'Y';
}

}  // namespace

int run_network_create(const Globals& globals, const Words& words) {
  engine::NetworkRequest request;
  Words options;
  Words labels;
  Words ipam_options;
  std::string cni_file;
  std::string ipam_driver;
  std::string scope;
  bool ipv4 = true;
  const Words arguments = parse_arguments(
      {.command = "network create",
       .synopsis = "[OPTIONS] NETWORK",
       .summary = "Create a network",
       .min_arguments = 1,
       .max_arguments = 1},
      {{"-d,--driver", "string",
        "Driver to manage the Network (\"bridge\", \"macvlan\", \"ipvlan\", \"vxlan\", \"cni\")",
        &request.driver},
       {"--subnet", "strings", "Subnet in CIDR format that represents a network segment",
        &request.subnets},
       {"--gateway", "strings", "IPv4 or IPv6 Gateway for the master subnet", &request.gateways},
       {"--ip-range", "strings", "Allocate container ip from a sub-range", &request.ranges},
       {"--aux-address", "map", "Auxiliary IPv4 or IPv6 addresses that are never given out",
        &request.reserved},
       {"--internal", "", "Restrict external access to the network", &request.internal},
       {"--ipv4", "", "Enable IPv4 networking (default true, and always so)", &ipv4},
       {"--ipv6", "", "Enable IPv6 networking", &request.ipv6},
       {"--attachable", "", "Enable manual container attachment (always so)", &request.attachable},
       {"-o,--opt", "map", "Set driver specific options", &options},
       {"--label", "list", "Set metadata on a network", &labels},
       {"--ipam-driver", "string", "IP Address Management Driver (\"default\")", &ipam_driver},
       {"--ipam-opt", "map", "Accepted for docker's sake", &ipam_options},
       {"--scope", "string", "Network's scope (\"local\")", &scope},
       {"--cni-config", "file", "CNI configuration list, for the driver \"cni\"", &cni_file}},
      words);
  if (!ipam_driver.empty() && ipam_driver != "default") {
    throw base::Error(
        base::ErrorKind::kNotFound,
        "plugin \"" + ipam_driver + "\" not found: networks give addresses themselves");
  }
  if (!scope.empty() && scope != "local") {
    throw base::Error(base::ErrorKind::kUnsupported, "network scope " + scope + ": only local");
  }
  if (!ipv4) {
    throw base::Error(base::ErrorKind::kUnsupported, "networks without IPv4 are not made");
  }
  request.name = arguments[0];
  request.options = pairs_in(options);
  request.labels = pairs_in(labels);
  if (!cni_file.empty()) {
    request.driver = "cni";
    request.cni = base::read_file(cni_file, 1U << 20U);
  }
  engine::Engine engine(globals.config);
  print(engine::create_network(engine, request) + "\n");
  return 0;
}

int run_network_connect(const Globals& globals, const Words& words) {
  engine::NetworkOption option;
  Words links;
  Words link_local;
  Words driver_options;
  const Words arguments = parse_arguments(
      {.command = "network connect",
       .synopsis = "[OPTIONS] NETWORK CONTAINER",
       .summary = "Connect a container to a network",
       .min_arguments = 2,
       .max_arguments = 2},
      {{"--alias", "strings", "Add network-scoped alias for the container", &option.aliases},
       {"--ip", "string", "IPv4 address (e.g., \"172.30.100.104\")", &option.address},
       {"--ip6", "string", "IPv6 address (e.g., \"2001:db8::33\")", &option.address6},
       {"--mac-address", "string", "MAC address of the interface", &option.mac},
       {"--link", "list", "Add link to another container (by name they find each other anyway)",
        &links},
       {"--driver-opt", "strings", "Accepted for docker's sake", &driver_options},
       {"--gw-priority", "int",
        "Highest gw-priority provides the default gateway. Accepts positive and negative values",
        &option.gateway_priority},
       {"--link-local-ip", "strings", "Not supported", &link_local}},
      words);
  if (!link_local.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "--link-local-ip: every interface makes its own link-local address");
  }
  option.name = arguments[0];
  if (!option.address.empty()) option.address = network::Ipv4::parse(option.address).str();
  if (!option.address6.empty()) option.address6 = network::Ipv6::parse(option.address6).str();
  if (!option.mac.empty()) option.mac = network::format_mac(network::parse_mac(option.mac));
  engine::Engine engine(globals.config);
  engine::connect_network(engine, arguments[1], option);
  return 0;
}

int run_network_disconnect(const Globals& globals, const Words& words) {
  bool force = false;
  const Words arguments = parse_arguments(
      {.command = "network disconnect",
       .synopsis = "[OPTIONS] NETWORK CONTAINER",
       .summary = "Disconnect a container from a network",
       .min_arguments = 2,
       .max_arguments = 2},
      {{"-f,--force", "", "Force the container to disconnect from a network", &force}}, words);
  engine::Engine engine(globals.config);
  engine::disconnect_network(engine, arguments[1], arguments[0],
                             force ? engine::DisconnectForce::kYes : engine::DisconnectForce::kNo);
  return 0;
}

int run_network_rm(const Globals& globals, const Words& words) {
  bool force = false;
  const Words arguments = parse_arguments(
      {.command = "network rm",
       .synopsis = "NETWORK [NETWORK...]",
       .summary = "Remove one or more networks",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-f,--force", "", "Do not error if the network does not exist", &force}}, words);
  engine::Engine engine(globals.config);
  return for_each_argument(arguments, [&](const std::string& name) {
    try {
      engine::remove_network(engine, name);
    } catch (const base::Error& error) {
      if (force && error.kind() == base::ErrorKind::kNotFound) return;
      throw;
    }
    print(name + "\n");
  });
}

int run_network_prune(const Globals& globals, const Words& words) {
  bool force = false;
  Words filters;
  parse_arguments(
      {.command = "network prune",
       .synopsis = "[OPTIONS]",
       .summary = "Remove all unused networks"},
      {{"-f,--force", "", "Do not prompt for confirmation", &force},
       {"--filter", "filter", "Provide filter values (e.g. \"until=<timestamp>\")", &filters}},
      words);
  const engine::PruneFilter filter = engine::parse_prune_filter(filters, base::now());
  if (!force && !is_prune_confirmed()) return 0;
  engine::Engine engine(globals.config);
  const std::vector<std::string> removed = engine::prune_networks(
      engine, [&](const engine::NetworkInfo& info) { return is_kept(info, filter); });
  if (removed.empty()) return 0;
  print("Deleted Networks:\n");
  for (const std::string& name : removed) print(name + "\n");
  print("\n");
  return 0;
}

}  // namespace cli
