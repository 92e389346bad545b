#include "network/plan.h"

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
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
  return {{.file = ipv4 / "ip_forward", .value = "1"},
          // So that packets that the host's programs send to 127.0.0.1 may leave over the bridge.
          {.file = ipv4 / "conf" / config.bridge / "route_localnet", .value = "1"},
          // No IPv6 on a bridge that is not meant to have it: containers could otherwise configure
          // the host by router advertisements (CVE-2020-13401).
          {.file = kSettings / "ipv6" / "conf" / config.bridge / "disable_ipv6",
           .value = "1",
           .is_optional = true}};
}

Setting container_setting(const Endpoint& endpoint) {
  return {.file = kSettings / "ipv6" / "conf" / endpoint.interface_name / "disable_ipv6",
          .value = "1",
          .is_optional = true};
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

  std::vector<Step> veth = veth_steps(config, endpoint, 0, -1);
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
