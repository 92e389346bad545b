#include "network/plan.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "network/elements.h"
#include "network/firewall.h"
#include "network/link.h"

namespace network {
namespace {

namespace fs = std::filesystem;

const fs::path kSettings = "/proc/sys/net";

void move_all(std::vector<Step>& to, std::vector<Step> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// Indices and descriptors are only known when the step is carried out.
Step without_message(Step step) {
  step.message.clear();
  return step;
}

}  // namespace

Step Setting::step() const { return {"write " + value + " to " + file.string(), {}}; }

std::vector<Setting> bridge_settings(const BridgeConfig& config) {
  const fs::path ipv4 = kSettings / "ipv4";
  const fs::path ipv6 = kSettings / "ipv6" / "conf";
  std::vector<Setting> settings{
      {.file = ipv4 / "ip_forward", .value = "1"},
      // So that packets that the host's programs send to 127.0.0.1 may leave over the bridge.
      {.file = ipv4 / "conf" / config.bridge / "route_localnet", .value = "1"}};
  if (!config.subnet6) {
    // No IPv6 on a bridge that is not meant to have it: containers could otherwise configure
    // the host by router advertisements (CVE-2020-13401).
    settings.push_back(
        {.file = ipv6 / config.bridge / "disable_ipv6", .value = "1", .is_optional = true});
    return settings;
  }
  settings.push_back({.file = ipv6 / config.bridge / "disable_ipv6", .value = "0"});
  settings.push_back({.file = ipv6 / config.bridge / "accept_ra", .value = "0"});
  settings.push_back({.file = ipv6 / "all" / "forwarding", .value = "1"});
  return settings;
}

Setting container_setting(const Endpoint& endpoint) {
  const fs::path folder = kSettings / "ipv6" / "conf" / endpoint.interface_name;
  // With an IPv6 address of ours nothing else is asked for, least of all whether it is taken.
  if (endpoint.address6) return {.file = folder / "accept_dad", .value = "0"};
  return {.file = folder / "disable_ipv6", .value = "1", .is_optional = true};
}

void apply_setting(const Setting& setting) {
  base::UniqueFd file(open(setting.file.c_str(), O_RDWR | O_CLOEXEC));
  if (!file && setting.is_optional && errno == ENOENT) return;
  base::check(file.get(), setting.step().text);
  if (base::read_fd(file.get()) == setting.value + "\n") return;
  base::check(pwrite(file.get(), setting.value.data(), setting.value.size(), 0),
              setting.step().text);
}

NetworkPlan plan_endpoint(const BridgeConfig& config, const Endpoint& endpoint) {
  NetworkPlan plan;
  plan.bridge = {create_bridge_step(config), without_message(bridge_address_step(config, 0))};
  for (const Setting& setting : bridge_settings(config)) plan.bridge.push_back(setting.step());
  move_all(plan.bridge, plan_firewall(config).steps);
  move_all(plan.bridge, add_network_steps(config));

  std::vector<Step> veth = config.kind == LinkKind::kBridge
                               ? veth_steps(config, endpoint, 0, -1)
                               : std::vector{create_child_step(config, endpoint, 0, -1)};
  if (config.kind != LinkKind::kBridge) plan.bridge.clear();
  veth.front()
      .message.clear();  // the bridge's index and the namespace's descriptor are yet to come
  move_all(plan.endpoint, std::move(veth));
  plan.endpoint.push_back(container_setting(endpoint).step());
  std::vector<Step> inside = container_steps(config, endpoint, 0);
  for (auto step = inside.begin() + 1; step != inside.end(); ++step) step->message.clear();
  move_all(plan.endpoint, std::move(inside));
  plan.ports = publish_steps(config, endpoint);
  return plan;
}

}  // namespace network
