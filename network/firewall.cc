#include "network/firewall.h"

#include <arpa/inet.h>
#include <cerrno>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netlink.h>
#include <new>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "network/nft_message.h"
#include "network/rule.h"

namespace network {
namespace {

using Table = base::CHandle<nftnl_table, nftnl_table_free>;
using Chain = base::CHandle<nftnl_chain, nftnl_chain_free>;
using RuleObject = base::CHandle<nftnl_rule, nftnl_rule_free>;
using Set = base::CHandle<nftnl_set, nftnl_set_free>;

constexpr std::string_view kLayoutPrefix = "layout_";
constexpr int kCommitAttempts = 32;

// Data types as nft(8) numbers them for its listings; a concatenation has 6 bits a part.
constexpr std::uint32_t kTypeAddress = 7;
constexpr std::uint32_t kTypeProtocol = 12;
constexpr std::uint32_t kTypePort = 13;
constexpr std::uint32_t kTypeProtocolPort = kTypeProtocol << 6U | kTypePort;
constexpr std::uint32_t kTypeAddressPort = kTypeAddress << 6U | kTypePort;

template <class Handle>
Handle made(Handle handle) {
  if (!handle) throw std::bad_alloc();
  return handle;
}

struct Hook {
  const char* type;
  std::uint32_t number;
  std::int32_t priority;
};

Bytes table_message(const BridgeConfig& config, std::uint16_t type, std::uint16_t flags) {
  const auto table = made(Table(nftnl_table_alloc()));
  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, config.table.c_str());
  return nft_message(type, flags, [&](nlmsghdr* message) {
    nftnl_table_nlmsg_build_payload(message, table.get());
  });
}

Bytes chain_message(const BridgeConfig& config, std::uint16_t type, const std::string& name,
                    const Hook* hook = nullptr) {
  const auto chain = made(Chain(nftnl_chain_alloc()));
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TABLE, config.table.c_str());
  nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_NAME, name.c_str());
  if (hook != nullptr) {
    nftnl_chain_set_str(chain.get(), NFTNL_CHAIN_TYPE, hook->type);
    nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_HOOKNUM, hook->number);
    nftnl_chain_set_s32(chain.get(), NFTNL_CHAIN_PRIO, hook->priority);
    nftnl_chain_set_u32(chain.get(), NFTNL_CHAIN_POLICY, NF_ACCEPT);
  }
  const std::uint16_t flags = type == NFT_MSG_NEWCHAIN ? NLM_F_CREATE : 0;
  return nft_message(type, flags, [&](nlmsghdr* message) {
    nftnl_chain_nlmsg_build_payload(message, chain.get());
  });
}

struct MapShape {
  std::string_view name;
  std::uint32_t id, key_type, key_size;
};

Step map_step(const BridgeConfig& config, const MapShape& shape) {
  const auto set = made(Set(nftnl_set_alloc()));
  const std::string name(shape.name);
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, config.table.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, name.c_str());
  nftnl_set_set_u32(set.get(), NFTNL_SET_ID, shape.id);
  nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, NFT_SET_MAP);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, shape.key_type);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, shape.key_size);
  nftnl_set_set_u32(set.get(), NFTNL_SET_DATA_TYPE, kTypeAddressPort);
  nftnl_set_set_u32(set.get(), NFTNL_SET_DATA_LEN, 8);
  return {"add map ip " + config.table + " " + name,
          nft_message(NFT_MSG_NEWSET, NLM_F_CREATE, [&](nlmsghdr* message) {
            nftnl_set_nlmsg_build_payload(message, set.get());
          })};
}

// A rule deletion that names no chain empties all of them.
Step flush_step(const BridgeConfig& config) {
  const auto rule = made(RuleObject(nftnl_rule_alloc()));
  nftnl_rule_set_str(rule.get(), NFTNL_RULE_TABLE, config.table.c_str());
  return {"flush table ip " + config.table, nft_message(NFT_MSG_DELRULE, 0, [&](nlmsghdr* message) {
            nftnl_rule_nlmsg_build_payload(message, rule.get());
          })};
}

// Collects chains with their rules and keeps count, as the kernel does.
class Layout {
 public:
  explicit Layout(const BridgeConfig& config) : config_(config) {}

  void chain(const std::string& name) {
    chains_.push_back({"add chain ip " + config_.table + " " + name,
                       chain_message(config_, NFT_MSG_NEWCHAIN, name)});
    uses_.push_back({name, 0});
  }
  void chain(const std::string& name, const Hook& hook) {
    chains_.push_back({"add chain ip " + config_.table + " " + name + " (" + hook.type +
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
    std::vector<Step> steps{
        {"add table ip " + config_.table, table_message(config_, NFT_MSG_NEWTABLE, NLM_F_CREATE)},
        map_step(config_, {kPortsOfAddress, 1, kTypeAddress << 12U | kTypeProtocolPort, 12}),
        map_step(config_, {kPortsOfAnyAddress, 2, kTypeProtocolPort, 8})};
    steps.insert(steps.end(), chains_.begin(), chains_.end());
    steps.push_back(flush_step(config_));
    steps.insert(steps.end(), rules_.begin(), rules_.end());
    const std::string marker = std::string(kLayoutPrefix) + fingerprint(steps);
    steps.push_back({"add chain ip " + config_.table + " " + marker,
                     chain_message(config_, NFT_MSG_NEWCHAIN, marker)});
    uses_.push_back({marker, 0});
    return {std::move(steps), std::move(uses_)};
  }

 private:
  // FNV-1a, 64 bits: not against an adversary (who could write the table anyway).
  static std::string fingerprint(const std::vector<Step>& steps) {
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const Step& step : steps) {
      for (const std::uint8_t byte : step.message) hash = (hash ^ byte) * 0x100000001b3U;
    }
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash));
    return text;
  }

  const BridgeConfig& config_;
  std::vector<Step> chains_, rules_;
  std::vector<ChainUse> uses_;
};

constexpr char kPublished[] = "published";
const Ipv4Subnet kLoopback{{0x7f000000}, 8};

void add_translation(Layout& layout) {
  layout.chain(kPublished);
  layout.add(layout.rule().translate_by_address_and_port(kPortsOfAddress));
  layout.add(layout.rule().translate_by_port(kPortsOfAnyAddress));
  // Arriving packets, then those of the host's own programs, 127.0.0.1 included.
  layout.chain("prerouting", {"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST});
  layout.add(layout.rule().destination_is_local().jump(kPublished));
  layout.count_jump(kPublished);
  layout.chain("output", {"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST});
  layout.add(layout.rule().destination_is_local().jump(kPublished));
  layout.count_jump(kPublished);
}

void add_masquerading(Layout& layout, const BridgeConfig& config) {
  layout.chain("postrouting", {"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC});
  layout.add(layout.rule()
                 .source(Match::kIs, config.subnet)
                 .output_interface(Match::kIsNot, config.bridge)
                 .masquerade());
  // A host program that asked 127.0.0.1: the container could not answer that address.
  layout.add(layout.rule()
                 .output_interface(Match::kIs, config.bridge)
                 .source(Match::kIs, kLoopback)
                 .masquerade());
  // A container that asked for a port published by itself or by a neighbour: without this the
  // answer would take the short way, past the translation.
  layout.add(layout.rule()
                 .output_interface(Match::kIs, config.bridge)
                 .source(Match::kIs, config.subnet)
                 .destination_was_translated(Match::kIs)
                 .masquerade());
}

// Before connection tracking, so destinations are what the sender wrote.
void add_guard(Layout& layout, const BridgeConfig& config) {
  layout.chain("guard", {"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW});
  // route_localnet on the bridge takes away the kernel's own protection of 127.0.0.0/8
  // (CVE-2020-8558), and translation would happen before it for packets from other hosts.
  layout.add(
      layout.rule().destination(Match::kIs, kLoopback).input_interface(Match::kIsNot, "lo").drop());
  layout.add(
      layout.rule().source(Match::kIs, kLoopback).input_interface(Match::kIsNot, "lo").drop());
  // A neighbour of the host that routes the container's network to us.
  layout.add(layout.rule()
                 .destination(Match::kIs, config.subnet)
                 .input_interface(Match::kIsNot, config.bridge)
                 .destination(Match::kIsNot, {config.gateway, 32})
                 .drop());
}

void add_forwarding(Layout& layout, const BridgeConfig& config) {
  layout.chain("forward", {"filter", NF_INET_FORWARD, NF_IP_PRI_FILTER});
  layout.add(
      layout.rule().output_interface(Match::kIs, config.bridge).connection_is_known().accept());
  layout.add(layout.rule()
                 .output_interface(Match::kIs, config.bridge)
                 .input_interface(Match::kIsNot, config.bridge)
                 .destination_was_translated(Match::kIsNot)
                 .drop());
}

std::optional<ChainUse> parse_chain(const Bytes& message) {
  const auto chain = made(Chain(nftnl_chain_alloc()));
  if (nftnl_chain_nlmsg_parse(reinterpret_cast<const nlmsghdr*>(message.data()), chain.get()) < 0) {
    return {};
  }
  const char* const name = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME);
  if (name == nullptr) return {};
  return ChainUse{name, nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_USE)};
}

std::string table_of(const Bytes& message) {
  const auto chain = made(Chain(nftnl_chain_alloc()));
  if (nftnl_chain_nlmsg_parse(reinterpret_cast<const nlmsghdr*>(message.data()), chain.get()) < 0) {
    return {};
  }
  const char* const name = nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE);
  return name == nullptr ? "" : name;
}

// Markers that another version or configuration left in our table.
std::vector<Step> delete_other_markers(Netlink& netfilter, const BridgeConfig& config,
                                       const std::string& marker) {
  const Bytes request = nft_message(NFT_MSG_GETCHAIN, NLM_F_DUMP, [](nlmsghdr*) {});
  std::vector<Step> steps;
  for (const Bytes& message : netfilter.dump(request, "list nftables chains")) {
    const auto chain = parse_chain(message);
    if (!chain || table_of(message) != config.table || chain->name == marker) continue;
    if (!chain->name.starts_with(kLayoutPrefix)) continue;
    steps.push_back({"delete chain ip " + config.table + " " + chain->name,
                     chain_message(config, NFT_MSG_DELCHAIN, chain->name)});
  }
  return steps;
}

}  // namespace

Firewall plan_firewall(const BridgeConfig& config) {
  Layout layout(config);
  add_guard(layout, config);
  add_translation(layout);
  add_masquerading(layout, config);
  add_forwarding(layout, config);
  return layout.finish();
}

bool is_firewall_in_place(Netlink& netfilter, const BridgeConfig& config,
                          const Firewall& firewall) {
  std::vector<Bytes> requests;
  for (const ChainUse& chain : firewall.chains) {
    requests.push_back(chain_message(config, NFT_MSG_GETCHAIN, chain.name));
  }
  const auto answers = netfilter.ask(requests);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (answers[i].error != 0 && answers[i].error != ENOENT) {
      base::throw_errno("look at nftables table " + config.table, answers[i].error);
    }
    if (answers[i].messages.empty()) return false;
    const auto chain = parse_chain(answers[i].messages.front());
    if (!chain || chain->use != firewall.chains[i].use) return false;
  }
  return true;
}

void apply_firewall(Netlink& netfilter, const BridgeConfig& config, const Firewall& firewall) {
  for (int attempt = 1;; ++attempt) {
    const std::uint32_t generation = current_generation(netfilter);
    std::vector<Step> steps = delete_other_markers(netfilter, config, firewall.chains.back().name);
    steps.insert(steps.begin(), firewall.steps.begin(), firewall.steps.end());
    const auto refusal = netfilter.try_commit(steps, generation);
    if (!refusal) return;
    const bool is_race = refusal->error == ERESTART || refusal->error == EBUSY;
    if (!is_race || attempt == kCommitAttempts) throw_refusal(steps, *refusal);
  }
}

void remove_firewall(Netlink& netfilter, const BridgeConfig& config) {
  // Added first, so that there is always something to delete: a refused transaction is expensive.
  const std::vector<Step> steps{
      {"add table ip " + config.table, table_message(config, NFT_MSG_NEWTABLE, NLM_F_CREATE)},
      {"delete table ip " + config.table, table_message(config, NFT_MSG_DELTABLE, 0)}};
  netfilter.commit(steps);
}

std::uint32_t current_generation(Netlink& netfilter) {
  const auto answer = netfilter.ask(nft_message(NFT_MSG_GETGEN, 0, [](nlmsghdr*) {}));
  if (answer.error != 0 || answer.messages.empty()) {
    base::throw_errno("ask for the nftables generation", answer.error);
  }
  return ntohl(
      AttributeList::of_message(answer.messages.front(), sizeof(nfgenmsg)).u32(NFTA_GEN_ID));
}

}  // namespace network
