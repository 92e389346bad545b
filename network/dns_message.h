// DNS messages: one question read out of a packet that anybody may have written, and answers to it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "network/address.h"
#include "network/message.h"

namespace network {

// RFC 1035, 3.2.2; RFC 3596.
enum class DnsType : std::uint16_t { kA = 1, kPtr = 12, kAaaa = 28 };
enum class DnsCode : std::uint8_t { kNone = 0, kFormat = 1, kServer = 2, kNotImplemented = 4 };

constexpr std::size_t kDnsHeader = 12;
constexpr std::size_t kDnsDatagram = 512;  // what a client without EDNS takes

struct DnsQuestion {
  std::uint16_t id = 0;
  std::string name;  // in lower case, without the last dot
  std::uint16_t type = 0;
  std::size_t end = 0;               // of the question within the packet
  std::size_t limit = kDnsDatagram;  // of an answer in one datagram
};

// nullopt for what is no query with exactly one question of class IN: wrong lengths, pointers,
// answers. Never reads beyond the packet.
std::optional<DnsQuestion> parse_dns_query(ByteSpan packet);

// An address, or for PTR a name.
using DnsRecord = std::variant<IpAddress, std::string>;

// The answer to `query`, of which only the question is kept; records of another type than was asked
// for are left out. Where it would exceed `limit`, the rest is left out and the answer marked as
// truncated.
Bytes render_dns_answer(ByteSpan query, const DnsQuestion& question,
                        const std::vector<DnsRecord>& records, std::size_t limit);
Bytes render_dns_failure(ByteSpan query, const DnsQuestion& question, DnsCode code);

// Whether `answer` answers `query`: the same question, and an answer at all. Ids are not compared.
bool is_dns_answer_to(ByteSpan answer, ByteSpan query, const DnsQuestion& question);

// "2.0.208.10.in-addr.arpa", "….ip6.arpa".
std::optional<IpAddress> parse_reverse_name(std::string_view name);

}  // namespace network
