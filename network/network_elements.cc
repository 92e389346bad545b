// What the sets of the table know of one network.
#include <arpa/inet.h>
#include <array>
#include <cassert>
#include <cstring>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <new>

#include <libnftnl/set.h>

#include "base/cleanup.h"
#include "network/elements.h"
#include "network/firewall.h"
#include "network/nft_message.h"

namespace network {
namespace {

using ElementSet = base::CHandle<nftnl_set, nftnl_set_free>;

// One element; of a set with intervals its start and what comes first behind it.
struct Entry {
  std::string_view set;
  std::string text;
  Bytes key;
  std::optional<Bytes> end;
};

Bytes interface_key(const std::string& name) {
  Bytes key(IFNAMSIZ);
  assert(name.size() < key.size());
  std::memcpy(key.data(), name.data(), name.size());
  return key;
}

Bytes address_key(std::uint32_t bits) {
  const std::uint32_t ordered = htonl(bits);
  const ByteSpan bytes = bytes_of(ordered);
  return {bytes.begin(), bytes.end()};
}

Entry subnet_entry(std::string_view set, const Ipv4Subnet& subnet) {
  Entry entry{set, subnet.str(), address_key(subnet.base.bits), {}};
  // A subnet at the very end of all addresses has no first one behind it.
  if (const std::uint32_t end = subnet.broadcast().bits + 1; end != 0) entry.end = address_key(end);
  return entry;
}

Entry subnet_entry(std::string_view set, const Ipv6Subnet& subnet) {
  const auto key = [](const Ipv6& address) {
    return Bytes(address.bytes.begin(), address.bytes.end());
  };
  Entry entry{set, subnet.str(), key(subnet.base), {}};
  if (const Ipv6 end = subnet.end(); end != Ipv6{}) entry.end = key(end);
  return entry;
}

std::vector<Entry> entries_of(const BridgeConfig& config) {
  Bytes pair = interface_key(config.bridge);
  pair.insert(pair.end(), pair.begin(), pair.begin() + IFNAMSIZ);
  std::vector<Entry> entries{{kBridges, config.bridge, interface_key(config.bridge), {}},
                             {kWithin, config.bridge + " . " + config.bridge, std::move(pair), {}},
                             subnet_entry(kSubnets, config.subnet)};
  if (config.internal) {
    entries.push_back({kInternal, config.bridge, interface_key(config.bridge), {}});
  }
  const bool masquerade = config.masquerade && !config.internal;
  if (masquerade) entries.push_back(subnet_entry(kMasqueraded, config.subnet));
  if (config.subnet6) {
    entries.push_back(subnet_entry(kSubnets6, *config.subnet6));
    if (masquerade) entries.push_back(subnet_entry(kMasqueraded6, *config.subnet6));
  }
  return entries;
}

void add_key(nftnl_set* set, const Bytes& key, std::uint32_t flags) {
  nftnl_set_elem* const element = nftnl_set_elem_alloc();
  if (element == nullptr) throw std::bad_alloc();
  nftnl_set_elem_add(set, element);
  nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(),
                     static_cast<std::uint32_t>(key.size()));
  if (flags != 0) nftnl_set_elem_set_u32(element, NFTNL_SET_ELEM_FLAGS, flags);
}

Bytes entry_message(const BridgeConfig& config, const Entry& entry, std::uint16_t type) {
  const ElementSet set(nftnl_set_alloc());
  if (!set) throw std::bad_alloc();
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, config.table.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, std::string(entry.set).c_str());
  add_key(set.get(), entry.key, 0);
  if (entry.end && type != NFT_MSG_GETSETELEM) {
    add_key(set.get(), *entry.end, NFT_SET_ELEM_INTERVAL_END);
  }
  const std::uint16_t flags = type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0;
  return nft_message(type, flags, [&](nlmsghdr* message) {
    nftnl_set_elems_nlmsg_build_payload(message, set.get());
  });
}

}  // namespace

std::vector<Step> add_network_steps(const BridgeConfig& config) {
  std::vector<Step> steps;
  for (const Entry& entry : entries_of(config)) {
    steps.push_back({"add " + entry.text + " to set " + std::string(entry.set),
                     entry_message(config, entry, NFT_MSG_NEWSETELEM)});
  }
  return steps;
}

std::vector<Step> delete_network_steps(const BridgeConfig& config) {
  std::vector<Step> steps;
  for (const Entry& entry : entries_of(config)) {
    steps.push_back({"take " + entry.text + " from set " + std::string(entry.set),
                     entry_message(config, entry, NFT_MSG_DELSETELEM)});
  }
  return steps;
}

std::vector<Bytes> find_network_requests(const BridgeConfig& config) {
  std::vector<Bytes> requests;
  for (const Entry& entry : entries_of(config)) {
    if (!entry.end) requests.push_back(entry_message(config, entry, NFT_MSG_GETSETELEM));
  }
  return requests;
}

}  // namespace network
