#include <cerrno>
#include <map>

#include "base/error.h"
#include "base/trace.h"
#include "network/bridge.h"
#include "network/elements.h"
#include "network/firewall.h"
#include "network/flows.h"
#include "network/netlink.h"
#include "network/plan.h"

namespace network {
namespace {

constexpr std::size_t kLongestOwner = 127;  // with its NUL: what nft(8) takes for a comment
constexpr int kUnpublishAttempts = 32;

[[noreturn]] void refuse_port(const PublishedPort& port, int error) {
  throw base::Error(base::ErrorKind::kConflict,
                    "Bind for " + port.host_address.with_port(port.host_port) +
                        " failed: port is already allocated",
                    error);
}

// Those of the endpoint's elements that exist and are its own.
std::vector<Step> plan_unpublish(Netlink& netfilter, const BridgeConfig& config,
                                 const Endpoint& endpoint) {
  std::vector<Bytes> requests;
  for (const PublishedPort& port : translated_ports(endpoint)) {
    requests.push_back(find_element_request(config, port));
  }
  std::vector<Step> steps;
  for (const Netlink::Answer& answer : netfilter.ask(requests)) {
    for (const Bytes& message : answer.messages) {
      for (const PublishedElement& element : parse_elements(message)) {
        if (element.owner != endpoint.container_id) continue;
        steps.push_back(delete_element_step(config, element));
      }
    }
  }
  return steps;
}

}  // namespace

std::vector<PublishedPort> translated_ports(const Endpoint& endpoint) {
  std::vector<PublishedPort> ports;
  for (const PublishedPort& port : endpoint.ports) {
    // The rest is a relay's: see plan.h.
    if (!port.host_address.is_v6() || (endpoint.address6 && !port.host_address.is_loopback())) {
      ports.push_back(port);
    }
  }
  return ports;
}

std::vector<Step> publish_steps(const BridgeConfig& config, const Endpoint& endpoint) {
  if (endpoint.container_id.empty() || endpoint.container_id.size() > kLongestOwner) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "invalid container id \"" + endpoint.container_id + "\"");
  }
  std::vector<Step> steps;
  for (const PublishedPort& port : translated_ports(endpoint)) {
    steps.push_back(add_element_step(
        config, {.owner = endpoint.container_id,
                 .container_address = port.host_address.is_v6() ? IpAddress(*endpoint.address6)
                                                                : IpAddress(endpoint.address),
                 .port = port}));
  }
  return steps;
}

void publish(const BridgeConfig& config, const Endpoint& endpoint) {
  if (endpoint.ports.empty()) return;
  const base::TraceStep trace("network", "publish " + std::to_string(endpoint.ports.size()) +
                                             " ports of " + endpoint.container_id);
  Netlink netfilter(Netlink::Bus::kNetfilter);
  const std::vector<Step> steps = publish_steps(config, endpoint);
  const auto refusal = netfilter.try_commit(steps);
  if (!refusal) return forget_flows(endpoint);
  const bool is_taken = refusal->error == EEXIST || refusal->error == EBUSY;
  if (is_taken && refusal->step < steps.size()) {
    refuse_port(translated_ports(endpoint)[refusal->step], refusal->error);
  }
  throw_refusal(steps, *refusal);
}

void unpublish(const BridgeConfig& config, const Endpoint& endpoint) {
  if (endpoint.ports.empty()) return;
  const base::TraceStep trace("network", "unpublish ports of " + endpoint.container_id);
  Netlink netfilter(Netlink::Bus::kNetfilter);
  // Deleting an element that is gone would undo the whole transaction, and deleting one that has
  // become another container's would be wrong: so look first, and let the kernel check with the
  // generation that nothing happened in between.
  for (int attempt = 1;; ++attempt) {
    const std::uint32_t generation = current_generation(netfilter);
    const std::vector<Step> steps = plan_unpublish(netfilter, config, endpoint);
    const auto refusal = netfilter.try_commit(steps, generation);
    if (!refusal) return forget_flows(endpoint);
    if (refusal->error != ERESTART || attempt == kUnpublishAttempts) throw_refusal(steps, *refusal);
  }
}

std::vector<Endpoint> list_published(const BridgeConfig& config) {
  Netlink netfilter(Netlink::Bus::kNetfilter);
  std::map<std::string, Endpoint> endpoints;
  for (const Bytes& request : list_elements_requests(config)) {
    const Netlink::Answer answer = netfilter.ask(request);
    if (answer.error == ENOENT) return {};  // no table: nothing is published
    if (answer.error != 0) base::throw_errno("list published ports", answer.error);
    for (const Bytes& message : answer.messages) {
      for (const PublishedElement& element : parse_elements(message)) {
        Endpoint& endpoint = endpoints[element.owner];
        endpoint.container_id = element.owner;
        if (element.container_address.is_v6()) {
          endpoint.address6 = element.container_address.v6();
        } else {
          endpoint.address = element.container_address.v4();
          endpoint.mac = mac_of(endpoint.address);
        }
        endpoint.ports.push_back(element.port);
      }
    }
  }
  std::vector<Endpoint> list;
  list.reserve(endpoints.size());
  for (auto& [owner, endpoint] : endpoints) list.push_back(std::move(endpoint));
  return list;
}

}  // namespace network
