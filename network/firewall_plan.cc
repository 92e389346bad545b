#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netlink.h>

#include "network/fingerprint.h"
#include "network/firewall.h"
#include "network/nft_objects.h"
#include "network/rule.h"

namespace network {
namespace {

// Collects chains with their rules and keeps count, as the kernel does.
class Layout {
 public:
  explicit Layout(const BridgeConfig& config) : config_(config) {}

  void chain(const std::string& name) {
    chains_.push_back({"add chain inet " + config_.table + " " + name,
                       chain_message(config_, NFT_MSG_NEWCHAIN, name)});
    uses_.push_back({name, 0});
  }
  void chain(const std::string& name, const Hook& hook) {
    chains_.push_back({"add chain inet " + config_.table + " " + name + " (" + hook.type +
                           " hook, priority " + std::to_string(hook.priority) + ")",
                       chain_message(config_, NFT_MSG_NEWCHAIN, name, &hook)});
    uses_.push_back({name, 0});
  }
  // Rules go to the chain that was added last.
  Rule rule() {
    ++uses_.back().use;
    return Rule(config_, uses_.back().name);
  }
  void add(const Rule& rule) { rules_.push_back(rule.finish()); }
  void count_jump(std::string_view target) {
    for (ChainUse& chain : uses_) chain.use += chain.name == target ? 1 : 0;
  }

  Firewall finish() {
    std::vector<Step> steps{{"add table inet " + config_.table,
                             table_message(config_, NFT_MSG_NEWTABLE, NLM_F_CREATE)}};
    for (const SetLayout& set : table_sets()) {
      steps.push_back({std::string(set.data_size != 0 ? "add map inet " : "add set inet ") +
                           config_.table + " " + std::string(set.name),
                       set_message(config_, set)});
    }
    steps.insert(steps.end(), chains_.begin(), chains_.end());
    steps.push_back({"flush table inet " + config_.table, flush_message(config_)});
    steps.insert(steps.end(), rules_.begin(), rules_.end());
    const std::string marker = std::string(kMarkerPrefix) + fingerprint(steps);
    steps.push_back({"add chain inet " + config_.table + " " + marker,
                     chain_message(config_, NFT_MSG_NEWCHAIN, marker)});
    uses_.push_back({marker, 0});
    return {std::move(steps), std::move(uses_)};
  }

 private:
  // An adversary who could make another of the same could write the table anyway.
  static std::string fingerprint(const std::vector<Step>& steps) {
    Fingerprint all;
    for (const Step& step : steps) all.add(step.message);
    return all.str();
  }

  const BridgeConfig& config_;
  std::vector<Step> chains_, rules_;
  std::vector<ChainUse> uses_;
};

constexpr char kPublished[] = "published";
const Ipv4Subnet kLoopback{{0x7f000000}, 8};

void add_translation(Layout& layout, HostFilter host_filter) {
  layout.chain(kPublished);
  layout.add(layout.rule().ipv4().translate_by_address_and_port(kPortsOfAddress));
  layout.add(layout.rule().ipv4().translate_by_port(kPortsOfAnyAddress));
  // Nothing that has ::1 as its source leaves the host: a relay takes it.
  layout.add(layout.rule().ipv6().destination6(Ipv6::parse("::1")).leave());
  layout.add(layout.rule().ipv6().translate6_by_address_and_port(kPortsOfAddress6));
  layout.add(layout.rule().ipv6().translate6_by_port(kPortsOfAnyAddress6));
  // Arriving packets, then those of the host's own programs, 127.0.0.1 included.
  layout.chain("prerouting", {"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST});
  if (host_filter == HostFilter::kPassBy) {
    layout.add(layout.rule().destination_is_local().jump(kPublished));
  } else {
    layout.add(layout.rule()
                   .input_interface_in(Match::kIs, kBridges)
                   .destination_is_local()
                   .jump(kPublished));
  }
  layout.count_jump(kPublished);
  layout.chain("output", {"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST});
  layout.add(layout.rule().destination_is_local().jump(kPublished));
  layout.count_jump(kPublished);
}

void add_masquerading(Layout& layout) {
  layout.chain("postrouting", {"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC});
  layout.add(layout.rule()
                 .ipv4()
                 .output_interface_in(Match::kIsNot, kBridges)
                 .source_in(kMasqueraded)
                 .masquerade());
  layout.add(layout.rule()
                 .ipv6()
                 .output_interface_in(Match::kIsNot, kBridges)
                 .source6_in(kMasqueraded6)
                 .masquerade());
  // A host program that asked 127.0.0.1: the container could not answer that address.
  layout.add(layout.rule()
                 .ipv4()
                 .output_interface_in(Match::kIs, kBridges)
                 .source(Match::kIs, kLoopback)
                 .masquerade());
  // A container that asked for a port published by itself or by a neighbour: without this the
  // answer would take the short way, past the translation.
  layout.add(layout.rule()
                 .ipv4()
                 .output_interface_in(Match::kIs, kBridges)
                 .source_in(kSubnets)
                 .destination_was_translated(Match::kIs)
                 .masquerade());
  layout.add(layout.rule()
                 .ipv6()
                 .output_interface_in(Match::kIs, kBridges)
                 .source6_in(kSubnets6)
                 .destination_was_translated(Match::kIs)
                 .masquerade());
}

// Before connection tracking, so destinations are what the sender wrote.
void add_guard(Layout& layout) {
  layout.chain("guard", {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW});
  // route_localnet on the bridge takes away the kernel's own protection of 127.0.0.0/8
  // (CVE-2020-8558), and translation would happen before it for packets from other hosts.
  layout.add(layout.rule()
                 .ipv4()
                 .destination(Match::kIs, kLoopback)
                 .input_interface(Match::kIsNot, "lo")
                 .drop());
  layout.add(layout.rule()
                 .ipv4()
                 .source(Match::kIs, kLoopback)
                 .input_interface(Match::kIsNot, "lo")
                 .drop());
}

// Into a network comes what belongs to a connection of its own, what it sends to itself, and what
// was sent to a published port: nothing else from other networks, or from neighbours of the host
// that route to us.
void add_forwarding(Layout& layout) {
  layout.chain("forward", {"filter", NF_INET_FORWARD, NF_IP_PRI_FILTER});
  layout.add(
      layout.rule().output_interface_in(Match::kIs, kBridges).connection_is_known().accept());
  layout.add(layout.rule().interfaces_in(kWithin).accept());
  layout.add(layout.rule()
                 .output_interface_in(Match::kIs, kBridges)
                 .destination_was_translated(Match::kIsNot)
                 .drop());
  layout.add(layout.rule().input_interface_in(Match::kIs, kInternal).drop());
  layout.add(layout.rule().output_interface_in(Match::kIs, kInternal).drop());
}

}  // namespace

Firewall plan_firewall(const BridgeConfig& config) {
  Layout layout(config);
  add_guard(layout);
  add_translation(layout, config.host_filter);
  add_masquerading(layout);
  add_forwarding(layout);
  return layout.finish();
}

}  // namespace network
