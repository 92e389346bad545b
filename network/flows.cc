#include "network/flows.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

#include "base/error.h"
#include "base/trace.h"
#include "network/netlink.h"

namespace network {
namespace {

// Which parts of the tuple count: bits that linux/netfilter/nfnetlink_conntrack.h has no names for
// (the kernel's nf_internals.h does).
constexpr std::uint32_t kByProtocol = 1U << 3U;
constexpr std::uint32_t kByDestinationPort = 1U << 5U;

Bytes forget_request(const PublishedPort& port) {
  nfgenmsg header{};
  header.nfgen_family = port.host_address.is_v6() ? AF_INET6 : AF_INET;
  header.version = NFNETLINK_V0;
  return Message(NFNL_SUBSYS_CTNETLINK << 8U | IPCTNL_MSG_CT_DELETE, NLM_F_ACK, header)
      .nest(CTA_TUPLE_ORIG,
            [&](Message& tuple) {
              tuple.nest(CTA_TUPLE_PROTO, [&](Message& protocol) {
                protocol.u8(CTA_PROTO_NUM, static_cast<std::uint8_t>(port.protocol))
                    .u16(CTA_PROTO_DST_PORT, htons(port.host_port));
              });
            })
      .nest(CTA_FILTER,
            [](Message& filter) {
              filter.u32(CTA_FILTER_ORIG_FLAGS, kByProtocol | kByDestinationPort);
            })
      .finish();
}

}  // namespace

std::vector<Bytes> forget_flows_requests(const Endpoint& endpoint) {
  std::vector<Bytes> requests;
  for (const PublishedPort& port : endpoint.ports) {
    if (port.protocol == Protocol::kUdp) requests.push_back(forget_request(port));
  }
  return requests;
}

void forget_flows(const Endpoint& endpoint) {
  const std::vector<Bytes> requests = forget_flows_requests(endpoint);
  if (requests.empty()) return;
  const base::TraceStep step("network", "forget UDP flows of " + endpoint.container_id);
  try {
    for (const Netlink::Answer& answer : Netlink(Netlink::Bus::kNetfilter).ask(requests)) {
      // Kernels before 5.7, or built without ctnetlink.
      if (answer.error != 0) base::trace("network", "connection tracking keeps old UDP flows");
    }
  } catch (const base::Error& error) {
    base::trace("network", error.what());
  }
}

}  // namespace network
