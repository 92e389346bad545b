#include "network/rule.h"

#include <arpa/inet.h>
#include <cassert>
#include <cstddef>
#include <cstring>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <new>

#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>

#include "network/nft_message.h"

namespace network {
namespace {

// Registers: a 16-byte one for single values; concatenations continue in its second 4-byte part.
constexpr std::uint32_t kRegister = NFT_REG_1;
constexpr std::uint32_t kSecondPart = NFT_REG32_01;
constexpr std::uint32_t kFifthPart = NFT_REG32_04;     // behind a 16-byte value
constexpr std::uint32_t kBehindWide = NFT_REG_2;       // the same place for another 16-byte value
constexpr std::uint32_t kConntrackStateKnown = 2 | 4;  // established | related: NF_CT_STATE_BIT()
constexpr std::size_t kPortOffset = 2;  // destination port: the same in TCP, UDP and SCTP

std::uint32_t comparison(Match match) { return match == Match::kIs ? NFT_CMP_EQ : NFT_CMP_NEQ; }

std::string_view prefix_of(Match match) { return match == Match::kIs ? "" : "!= "; }

std::string quoted(std::string_view name) { return "\"" + std::string(name) + "\""; }

// register = register & mask
void keep_bits(nftnl_expr* bitwise, std::uint32_t mask) {
  const std::uint32_t zero = 0;
  nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_SREG, kRegister);
  nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_DREG, kRegister);
  nftnl_expr_set_u32(bitwise, NFTNL_EXPR_BITWISE_LEN, sizeof mask);
  nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_MASK, &mask, sizeof mask);
  nftnl_expr_set(bitwise, NFTNL_EXPR_BITWISE_XOR, &zero, sizeof zero);
}

void load_conntrack(nftnl_expr* ct, std::uint32_t key) {
  nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_KEY, key);
  nftnl_expr_set_u32(ct, NFTNL_EXPR_CT_DREG, kRegister);
}

}  // namespace

void Rule::Free::operator()(nftnl_rule* rule) const { nftnl_rule_free(rule); }

Rule::Rule(const BridgeConfig& config, std::string_view chain)
    : rule_(nftnl_rule_alloc()), text_("add rule inet " + config.table + " " + std::string(chain)) {
  if (!rule_) throw std::bad_alloc();
  nftnl_rule_set_u32(rule_.get(), NFTNL_RULE_FAMILY, NFPROTO_INET);
  nftnl_rule_set_str(rule_.get(), NFTNL_RULE_TABLE, config.table.c_str());
  nftnl_rule_set_str(rule_.get(), NFTNL_RULE_CHAIN, std::string(chain).c_str());
}

nftnl_expr* Rule::add(const char* name, std::string_view words) {
  nftnl_expr* const expression = nftnl_expr_alloc(name);
  if (expression == nullptr) throw std::bad_alloc();
  nftnl_rule_add_expr(rule_.get(), expression);  // the rule owns it now
  if (!words.empty()) text_.append(" ").append(words);
  return expression;
}

void Rule::compare(std::uint32_t operation, ByteSpan value) {
  nftnl_expr* const compare = add("cmp");
  nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_SREG, kRegister);
  nftnl_expr_set_u32(compare, NFTNL_EXPR_CMP_OP, operation);
  nftnl_expr_set(compare, NFTNL_EXPR_CMP_DATA, value.data(),
                 static_cast<std::uint32_t>(value.size()));
}

void Rule::interface(std::uint32_t key, std::string_view word, Match match, std::string_view name) {
  nftnl_expr* const load =
      add("meta", std::string(word) + " " + std::string(prefix_of(match)) + quoted(name));
  nftnl_expr_set_u32(load, NFTNL_EXPR_META_KEY, key);
  nftnl_expr_set_u32(load, NFTNL_EXPR_META_DREG, kRegister);
  std::array<std::uint8_t, IFNAMSIZ> padded{};  // the whole register: an exact match
  assert(name.size() < padded.size());
  std::memcpy(padded.data(), name.data(), name.size());
  compare(comparison(match), padded);
}

Rule& Rule::input_interface(Match match, std::string_view name) {
  interface(NFT_META_IIFNAME, "iifname", match, name);
  return *this;
}

Rule& Rule::output_interface(Match match, std::string_view name) {
  interface(NFT_META_OIFNAME, "oifname", match, name);
  return *this;
}

void Rule::family(std::uint8_t number, std::string_view words) {
  nftnl_expr* const load = add("meta", words);
  nftnl_expr_set_u32(load, NFTNL_EXPR_META_KEY, NFT_META_NFPROTO);
  nftnl_expr_set_u32(load, NFTNL_EXPR_META_DREG, kRegister);
  compare(NFT_CMP_EQ, bytes_of(number));
}

Rule& Rule::ipv4() {
  family(NFPROTO_IPV4, "meta nfproto ipv4");
  return *this;
}

Rule& Rule::ipv6() {
  family(NFPROTO_IPV6, "meta nfproto ipv6");
  return *this;
}

void Rule::load_interface(std::uint32_t key, std::uint32_t destination) {
  nftnl_expr* const load = add("meta");
  nftnl_expr_set_u32(load, NFTNL_EXPR_META_KEY, key);
  nftnl_expr_set_u32(load, NFTNL_EXPR_META_DREG, destination);
}

void Rule::lookup(Match match, std::string_view set) {
  nftnl_expr* const lookup = add("lookup");
  nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, kRegister);
  nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, std::string(set).c_str());
  if (match == Match::kIsNot) {
    nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
  }
  text_.append(" ").append(prefix_of(match)).append("@").append(set);
}

Rule& Rule::input_interface_in(Match match, std::string_view set) {
  load_interface(NFT_META_IIFNAME, kRegister);
  text_ += " iifname";
  lookup(match, set);
  return *this;
}

Rule& Rule::output_interface_in(Match match, std::string_view set) {
  load_interface(NFT_META_OIFNAME, kRegister);
  text_ += " oifname";
  lookup(match, set);
  return *this;
}

Rule& Rule::interfaces_in(std::string_view set) {
  load_interface(NFT_META_IIFNAME, kRegister);
  load_interface(NFT_META_OIFNAME, kBehindWide);
  text_ += " iifname . oifname";
  lookup(Match::kIs, set);
  return *this;
}

void Rule::load_address(std::uint32_t offset, std::uint32_t size) {
  nftnl_expr* const load = add("payload");
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_LEN, size);
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_DREG, kRegister);
}

Rule& Rule::source_in(std::string_view set) {
  load_address(offsetof(iphdr, saddr), sizeof(in_addr));
  text_ += " ip saddr";
  lookup(Match::kIs, set);
  return *this;
}

Rule& Rule::source6_in(std::string_view set) {
  load_address(offsetof(ip6_hdr, ip6_src), sizeof(in6_addr));
  text_ += " ip6 saddr";
  lookup(Match::kIs, set);
  return *this;
}

Rule& Rule::destination6(const Ipv6& address) {
  load_address(offsetof(ip6_hdr, ip6_dst), sizeof(in6_addr));
  text_ += " ip6 daddr " + address.str();
  compare(NFT_CMP_EQ, ByteSpan(address.bytes));
  return *this;
}

void Rule::network(std::uint32_t offset, std::string_view word, Match match,
                   const Ipv4Subnet& subnet) {
  nftnl_expr* const load =
      add("payload", "ip " + std::string(word) + " " + std::string(prefix_of(match)) +
                         (subnet.prefix == 32 ? subnet.base.str() : subnet.str()));
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_OFFSET, offset);
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_LEN, sizeof(in_addr));
  nftnl_expr_set_u32(load, NFTNL_EXPR_PAYLOAD_DREG, kRegister);
  if (subnet.prefix < 32) keep_bits(add("bitwise"), htonl(subnet.mask().bits));
  const std::uint32_t base = htonl(subnet.base.bits);
  compare(comparison(match), bytes_of(base));
}

Rule& Rule::source(Match match, const Ipv4Subnet& subnet) {
  network(offsetof(iphdr, saddr), "saddr", match, subnet);
  return *this;
}

Rule& Rule::destination(Match match, const Ipv4Subnet& subnet) {
  network(offsetof(iphdr, daddr), "daddr", match, subnet);
  return *this;
}

Rule& Rule::destination_is_local() {
  nftnl_expr* const look = add("fib", "fib daddr type local");
  nftnl_expr_set_u32(look, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
  nftnl_expr_set_u32(look, NFTNL_EXPR_FIB_FLAGS, NFTA_FIB_F_DADDR);
  nftnl_expr_set_u32(look, NFTNL_EXPR_FIB_DREG, kRegister);
  const std::uint32_t local = RTN_LOCAL;
  compare(NFT_CMP_EQ, bytes_of(local));
  return *this;
}

Rule& Rule::connection_is_known() {
  load_conntrack(add("ct", "ct state established,related"), NFT_CT_STATE);
  keep_bits(add("bitwise"), kConntrackStateKnown);
  const std::uint32_t zero = 0;
  compare(NFT_CMP_NEQ, bytes_of(zero));
  return *this;
}

Rule& Rule::destination_was_translated(Match match) {
  load_conntrack(add("ct", match == Match::kIs ? "ct status dnat" : "ct status ! dnat"),
                 NFT_CT_STATUS);
  keep_bits(add("bitwise"), IPS_DST_NAT);
  const std::uint32_t zero = 0;
  compare(match == Match::kIs ? NFT_CMP_NEQ : NFT_CMP_EQ, bytes_of(zero));
  return *this;
}

void Rule::verdict(std::uint32_t code, std::string_view word, std::string_view chain) {
  nftnl_expr* const immediate = add("immediate", word);
  nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
  nftnl_expr_set_u32(immediate, NFTNL_EXPR_IMM_VERDICT, code);
  if (chain.empty()) return;
  nftnl_expr_set_str(immediate, NFTNL_EXPR_IMM_CHAIN, std::string(chain).c_str());
  text_.append(" ").append(chain);
}

Rule& Rule::jump(std::string_view chain) {
  verdict(static_cast<std::uint32_t>(NFT_JUMP), "jump", chain);
  return *this;
}

Rule& Rule::accept() {
  verdict(NF_ACCEPT, "accept");
  return *this;
}

Rule& Rule::drop() {
  verdict(NF_DROP, "drop");
  return *this;
}

Rule& Rule::leave() {
  verdict(static_cast<std::uint32_t>(NFT_RETURN), "return");
  return *this;
}

Rule& Rule::masquerade() {
  add("masq", "masquerade");
  return *this;
}

void Rule::load_protocol_and_port(std::uint32_t first_register) {
  nftnl_expr* const protocol = add("meta");
  nftnl_expr_set_u32(protocol, NFTNL_EXPR_META_KEY, NFT_META_L4PROTO);
  nftnl_expr_set_u32(protocol, NFTNL_EXPR_META_DREG, first_register);
  nftnl_expr* const port = add("payload");
  nftnl_expr_set_u32(port, NFTNL_EXPR_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
  nftnl_expr_set_u32(port, NFTNL_EXPR_PAYLOAD_OFFSET, kPortOffset);
  nftnl_expr_set_u32(port, NFTNL_EXPR_PAYLOAD_LEN, sizeof(std::uint16_t));
  // Register names 1 to 4 are 16 bytes wide and overlap the 4-byte ones that start at NFT_REG32_00.
  nftnl_expr_set_u32(port, NFTNL_EXPR_PAYLOAD_DREG,
                     first_register == kRegister ? kSecondPart : first_register + 1);
}

void Rule::translate(std::string_view map, std::uint8_t family) {
  nftnl_expr* const lookup = add("lookup", "map @" + std::string(map));
  nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, kRegister);
  nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_DREG, kRegister);
  nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, std::string(map).c_str());
  nftnl_expr* const translate = add("nat");
  nftnl_expr_set_u32(translate, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
  nftnl_expr_set_u32(translate, NFTNL_EXPR_NAT_FAMILY, family);
  nftnl_expr_set_u32(translate, NFTNL_EXPR_NAT_REG_ADDR_MIN, kRegister);
  nftnl_expr_set_u32(translate, NFTNL_EXPR_NAT_REG_PROTO_MIN,
                     family == NFPROTO_IPV6 ? kFifthPart : kSecondPart);
}

Rule& Rule::translate_by_address_and_port(std::string_view map) {
  text_ += " dnat ip to ip daddr . meta l4proto . th dport";
  load_address(offsetof(iphdr, daddr), sizeof(in_addr));
  load_protocol_and_port(kSecondPart);
  translate(map, NFPROTO_IPV4);
  return *this;
}

Rule& Rule::translate_by_port(std::string_view map) {
  text_ += " dnat ip to meta l4proto . th dport";
  load_protocol_and_port(kRegister);
  translate(map, NFPROTO_IPV4);
  return *this;
}

Rule& Rule::translate6_by_address_and_port(std::string_view map) {
  text_ += " dnat ip6 to ip6 daddr . meta l4proto . th dport";
  load_address(offsetof(ip6_hdr, ip6_dst), sizeof(in6_addr));
  load_protocol_and_port(kFifthPart);
  translate(map, NFPROTO_IPV6);
  return *this;
}

Rule& Rule::translate6_by_port(std::string_view map) {
  text_ += " dnat ip6 to meta l4proto . th dport";
  load_protocol_and_port(kRegister);
  translate(map, NFPROTO_IPV6);
  return *this;
}

Step Rule::finish() const {
  return {text_, nft_message(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, [&](nlmsghdr* message) {
            nftnl_rule_nlmsg_build_payload(message, rule_.get());
          })};
}

}  // namespace network
