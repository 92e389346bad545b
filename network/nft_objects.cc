#include "network/nft_objects.h"

#include <array>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <new>

#include <libnftnl/chain.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>

#include "base/cleanup.h"
#include "network/firewall.h"
#include "network/nft_message.h"

namespace network {
namespace {

using Table = base::CHandle<nftnl_table, nftnl_table_free>;
using Chain = base::CHandle<nftnl_chain, nftnl_chain_free>;
using RuleObject = base::CHandle<nftnl_rule, nftnl_rule_free>;
using Set = base::CHandle<nftnl_set, nftnl_set_free>;
using Userdata = base::CHandle<nftnl_udata_buf, nftnl_udata_buf_free>;

// Data types as nft(8) numbers them for its listings; a concatenation has 6 bits a part.
constexpr std::uint32_t kTypeAddress = 7;
constexpr std::uint32_t kTypeAddress6 = 8;
constexpr std::uint32_t kTypeProtocol = 12;
constexpr std::uint32_t kTypePort = 13;
constexpr std::uint32_t kTypeInterface = 41;
constexpr std::uint32_t kHostByteOrder = 1;  // nft's enum byteorder
constexpr std::uint32_t kTypeProtocolPort = kTypeProtocol << 6U | kTypePort;
constexpr std::uint32_t kTypeAddressPort = kTypeAddress << 6U | kTypePort;
constexpr std::uint32_t kTypeAddressPort6 = kTypeAddress6 << 6U | kTypePort;

constexpr std::array kSets = {
    SetLayout{kPortsOfAddress, kTypeAddress << 12U | kTypeProtocolPort, 12, kTypeAddressPort, 8},
    SetLayout{kPortsOfAnyAddress, kTypeProtocolPort, 8, kTypeAddressPort, 8},
    SetLayout{kPortsOfAddress6, kTypeAddress6 << 12U | kTypeProtocolPort, 24, kTypeAddressPort6,
              20},
    SetLayout{kPortsOfAnyAddress6, kTypeProtocolPort, 8, kTypeAddressPort6, 20},
    SetLayout{kBridges, kTypeInterface, IFNAMSIZ},
    SetLayout{kWithin, kTypeInterface << 6U | kTypeInterface, 2 * IFNAMSIZ},
    SetLayout{kInternal, kTypeInterface, IFNAMSIZ},
    SetLayout{kSubnets, kTypeAddress, 4, 0, 0, true},
    SetLayout{kSubnets6, kTypeAddress6, 16, 0, 0, true},
    SetLayout{kMasqueraded, kTypeAddress, 4, 0, 0, true},
    SetLayout{kMasqueraded6, kTypeAddress6, 16, 0, 0, true}};

template <class Handle>
Handle made(Handle handle) {
  if (!handle) throw std::bad_alloc();
  return handle;
}

std::string text_or_nothing(const char* text) { return text == nullptr ? "" : text; }

}  // namespace

Bytes table_message(const BridgeConfig& config, std::uint16_t type, std::uint16_t flags) {
  const auto table = made(Table(nftnl_table_alloc()));
  nftnl_table_set_str(table.get(), NFTNL_TABLE_NAME, config.table.c_str());
  return nft_message(type, flags, [&](nlmsghdr* message) {
    nftnl_table_nlmsg_build_payload(message, table.get());
  });
}

Bytes chain_message(const BridgeConfig& config, std::uint16_t type, const std::string& name,
                    const Hook* hook) {
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

std::span<const SetLayout> table_sets() { return kSets; }

Bytes set_message(const BridgeConfig& config, const SetLayout& layout) {
  const auto set = made(Set(nftnl_set_alloc()));
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, config.table.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, std::string(layout.name).c_str());
  // Only has to differ from the other new sets of the same transaction.
  nftnl_set_set_u32(set.get(), NFTNL_SET_ID,
                    static_cast<std::uint32_t>(&layout - kSets.data() + 1));
  std::uint32_t flags = 0;
  if (layout.data_size != 0) flags |= NFT_SET_MAP;
  if (layout.has_intervals) flags |= NFT_SET_INTERVAL;
  nftnl_set_set_u32(set.get(), NFTNL_SET_FLAGS, flags);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_TYPE, layout.key_type);
  nftnl_set_set_u32(set.get(), NFTNL_SET_KEY_LEN, layout.key_size);
  if (layout.data_size != 0) {
    nftnl_set_set_u32(set.get(), NFTNL_SET_DATA_TYPE, layout.data_type);
    nftnl_set_set_u32(set.get(), NFTNL_SET_DATA_LEN, layout.data_size);
  }
  const Userdata notes(nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
  if (!notes) throw std::bad_alloc();
  if (layout.key_type == kTypeInterface) {
    // For listings by nft(8), which takes a name for a number otherwise.
    nftnl_udata_put_u32(notes.get(), NFTNL_UDATA_SET_KEYBYTEORDER, kHostByteOrder);
    nftnl_set_set_data(set.get(), NFTNL_SET_USERDATA, nftnl_udata_buf_data(notes.get()),
                       nftnl_udata_buf_len(notes.get()));
  }
  return nft_message(NFT_MSG_NEWSET, NLM_F_CREATE,
                     [&](nlmsghdr* message) { nftnl_set_nlmsg_build_payload(message, set.get()); });
}

Bytes flush_message(const BridgeConfig& config) {
  const auto rule = made(RuleObject(nftnl_rule_alloc()));
  nftnl_rule_set_str(rule.get(), NFTNL_RULE_TABLE, config.table.c_str());
  // A rule deletion that names no chain empties all of them.
  return nft_message(NFT_MSG_DELRULE, 0, [&](nlmsghdr* message) {
    nftnl_rule_nlmsg_build_payload(message, rule.get());
  });
}

std::optional<ChainState> parse_chain(ByteSpan message) {
  const auto chain = made(Chain(nftnl_chain_alloc()));
  const auto* start = reinterpret_cast<const nlmsghdr*>(message.data());
  if (nftnl_chain_nlmsg_parse(start, chain.get()) < 0) return {};
  return ChainState{text_or_nothing(nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_TABLE)),
                    text_or_nothing(nftnl_chain_get_str(chain.get(), NFTNL_CHAIN_NAME)),
                    nftnl_chain_get_u32(chain.get(), NFTNL_CHAIN_USE)};
}

}  // namespace network
