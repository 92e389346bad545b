#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <map>
#include <netinet/in.h>
#include <sys/socket.h>

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
                    "Bind for " + port.host_address.str() + ":" + std::to_string(port.host_port) +
                        " failed: port is already allocated",
                    error);
}

// Those of the endpoint's elements that exist and are its own.
std::vector<Step> plan_unpublish(Netlink& netfilter, const BridgeConfig& config,
                                 const Endpoint& endpoint) {
  std::vector<Bytes> requests;
  for (const PublishedPort& port : endpoint.ports) {
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

int socket_type(Protocol protocol) { return protocol == Protocol::kUdp ? SOCK_DGRAM : SOCK_STREAM; }

}  // namespace

std::vector<Step> publish_steps(const BridgeConfig& config, const Endpoint& endpoint) {
  if (endpoint.container_id.empty() || endpoint.container_id.size() > kLongestOwner) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "invalid container id \"" + endpoint.container_id + "\"");
  }
  std::vector<Step> steps;
  for (const PublishedPort& port : endpoint.ports) {
    steps.push_back(add_element_step(
        config,
        {.owner = endpoint.container_id, .container_address = endpoint.address, .port = port}));
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
    refuse_port(endpoint.ports[refusal->step], refusal->error);
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
  std::map<std::pair<std::string, Ipv4>, Endpoint> endpoints;
  for (const Bytes& request : list_elements_requests(config)) {
    const Netlink::Answer answer = netfilter.ask(request);
    if (answer.error == ENOENT) return {};  // no table: nothing is published
    if (answer.error != 0) base::throw_errno("list published ports", answer.error);
    for (const Bytes& message : answer.messages) {
      for (const PublishedElement& element : parse_elements(message)) {
        Endpoint& endpoint = endpoints[{element.owner, element.container_address}];
        endpoint.container_id = element.owner;
        endpoint.address = element.container_address;
        endpoint.mac = mac_of(element.container_address);
        endpoint.ports.push_back(element.port);
      }
    }
  }
  std::vector<Endpoint> list;
  for (auto& [key, endpoint] : endpoints) list.push_back(std::move(endpoint));
  return list;
}

base::UniqueFd reserve_port(PublishedPort& port) {
  const int protocol = static_cast<int>(port.protocol);
  base::UniqueFd fd(socket(AF_INET, socket_type(port.protocol) | SOCK_CLOEXEC, protocol));
  if (!fd && (errno == EPROTONOSUPPORT || errno == ESOCKTNOSUPPORT)) return fd;  // SCTP, often
  base::check(fd.get(), "open socket for port " + describe(port));
  const int on = 1;
  if (port.protocol != Protocol::kUdp) {  // there it would mean sharing
    setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(port.host_address.bits);
  address.sin_port = htons(port.host_port);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  const bool is_bound = bind(fd.get(), generic, sizeof address) == 0 &&
                        (port.protocol == Protocol::kUdp || listen(fd.get(), 1) == 0);
  if (!is_bound && errno == EADDRINUSE) refuse_port(port, EADDRINUSE);
  if (!is_bound && errno == EADDRNOTAVAIL) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "Bind for " + port.host_address.str() + ":" + std::to_string(port.host_port) +
                          " failed: cannot assign requested address",
                      EADDRNOTAVAIL);
  }
  if (!is_bound) base::throw_errno("bind " + describe(port));
  socklen_t size = sizeof address;
  base::check(getsockname(fd.get(), generic, &size), "getsockname");
  port.host_port = ntohs(address.sin_port);
  return fd;
}

}  // namespace network
