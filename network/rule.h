// Rule: one nftables rule put together from matches and an end, as message and as text in nft's
// words.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/cleanup.h"
#include "network/bridge.h"
#include "network/message.h"

struct nftnl_rule;
struct nftnl_expr;

namespace network {

enum class Match : std::uint8_t { kIs, kIsNot };

class Rule {
 public:
  Rule(const BridgeConfig& config, std::string_view chain);

  Rule& input_interface(Match match, std::string_view name);
  Rule& output_interface(Match match, std::string_view name);
  Rule& source(Match match, const Ipv4Subnet& subnet);
  Rule& destination(Match match, const Ipv4Subnet& subnet);
  Rule& ipv4();
  Rule& ipv6();  // of the family; what looks at addresses needs one of these first
  Rule& input_interface_in(Match match, std::string_view set);
  Rule& output_interface_in(Match match, std::string_view set);
  Rule& interfaces_in(std::string_view set);  // {input . output}
  Rule& source_in(std::string_view set);      // IPv4
  Rule& source6_in(std::string_view set);
  Rule& destination6(const Ipv6& address);
  Rule& destination_is_local();                   // any address of this host
  Rule& connection_is_known();                    // ct state established,related
  Rule& destination_was_translated(Match match);  // ct status dnat

  Rule& jump(std::string_view chain);
  Rule& accept();
  Rule& drop();
  Rule& leave();  // back to where the jump came from
  Rule& masquerade();
  // dnat to what the map has for {address . protocol . port} or {protocol . port} of the packet's
  // destination; where it has nothing the packet goes on to the next rule.
  Rule& translate_by_address_and_port(std::string_view map);
  Rule& translate_by_port(std::string_view map);
  Rule& translate6_by_address_and_port(std::string_view map);
  Rule& translate6_by_port(std::string_view map);

  Step finish() const;

 private:
  struct Free {
    void operator()(nftnl_rule* rule) const;
  };
  nftnl_expr* add(const char* name, std::string_view words = {});
  void compare(std::uint32_t operation, ByteSpan value);
  void interface(std::uint32_t key, std::string_view word, Match match, std::string_view name);
  void network(std::uint32_t offset, std::string_view word, Match match, const Ipv4Subnet& subnet);
  void load_protocol_and_port(std::uint32_t first_register);
  void translate(std::string_view map, std::uint8_t family);
  void family(std::uint8_t number, std::string_view words);
  void load_interface(std::uint32_t key, std::uint32_t destination);
  void load_address(std::uint32_t offset, std::uint32_t size);
  void lookup(Match match, std::string_view set);
  void verdict(std::uint32_t code, std::string_view word, std::string_view chain = {});

  std::unique_ptr<nftnl_rule, Free> rule_;
  std::string text_;
};

}  // namespace network
