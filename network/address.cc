#include "network/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstdio>

#include "base/error.h"

namespace network {
namespace {

[[noreturn]] void refuse(std::string_view what, std::string_view text) {
  throw base::Error(base::ErrorKind::kInvalid,
                    "invalid " + std::string(what) + " \"" + std::string(text) + "\"");
}

int parse_prefix(std::string_view digits, int longest) {
  int prefix = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (error != std::errc{} || end != digits.data() + digits.size() || prefix > longest ||
      digits.size() > 3) {
    return -1;
  }
  return prefix;
}

// Bits of byte `index` that belong to a network of this prefix.
std::uint8_t mask_byte(int prefix, std::size_t index) {
  const int bits = std::clamp(prefix - static_cast<int>(index) * 8, 0, 8);
  return static_cast<std::uint8_t>(0xff00U >> static_cast<unsigned>(bits));
}

std::uint32_t last_word(const Ipv6& address) {
  std::uint32_t word = 0;
  for (std::size_t i = 12; i < 16; ++i) word = word << 8U | address.bytes[i];
  return word;
}

std::uint32_t mask_of(int prefix) { return prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix); }

}  // namespace

Ipv4 Ipv4::parse(std::string_view text) {
  in_addr address{};
  // inet_pton(3) takes exactly four decimal parts without leading zeros, unlike inet_aton(3).
  if (text.size() > 15 || text.find('\0') != std::string_view::npos ||
      inet_pton(AF_INET, std::string(text).c_str(), &address) != 1) {
    refuse("IPv4 address", text);
  }
  return {ntohl(address.s_addr)};
}

std::string Ipv4::str() const {
  char text[16];
  std::snprintf(text, sizeof text, "%u.%u.%u.%u", bits >> 24U, bits >> 16U & 255U,
                bits >> 8U & 255U, bits & 255U);
  return text;
}

Ipv4Subnet Ipv4Subnet::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) refuse("IPv4 subnet", text);
  const std::string_view digits = text.substr(slash + 1);
  int prefix = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
  if (error != std::errc{} || end != digits.data() + digits.size() || prefix < 0 || prefix > 32 ||
      digits.size() > 2) {
    refuse("IPv4 subnet", text);
  }
  const Ipv4 address = Ipv4::parse(text.substr(0, slash));
  return {{address.bits & mask_of(prefix)}, prefix};
}

std::string Ipv4Subnet::str() const { return base.str() + "/" + std::to_string(prefix); }

bool Ipv4Subnet::contains(Ipv4 address) const {
  return (address.bits & mask_of(prefix)) == base.bits;
}

bool Ipv4Subnet::overlaps(const Ipv4Subnet& other) const {
  return contains(other.base) || other.contains(base);
}

Ipv4 Ipv4Subnet::first_host() const { return {base.bits + 1}; }

Ipv4 Ipv4Subnet::last_host() const { return {(base.bits | ~mask_of(prefix)) - 1}; }

Ipv4 Ipv4Subnet::broadcast() const { return {base.bits | ~mask_of(prefix)}; }

Ipv4 Ipv4Subnet::mask() const { return {mask_of(prefix)}; }

Ipv6 Ipv6::parse(std::string_view text) {
  Ipv6 address;
  if (text.size() > 45 || text.find('\0') != std::string_view::npos ||
      inet_pton(AF_INET6, std::string(text).c_str(), address.bytes.data()) != 1) {
    refuse("IPv6 address", text);
  }
  return address;
}

std::string Ipv6::str() const {
  char text[INET6_ADDRSTRLEN] = {};
  inet_ntop(AF_INET6, bytes.data(), text, sizeof text);
  return text;
}

Ipv6Subnet Ipv6Subnet::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) refuse("IPv6 subnet", text);
  Ipv6Subnet subnet{Ipv6::parse(text.substr(0, slash)), parse_prefix(text.substr(slash + 1), 128)};
  if (subnet.prefix < 0) refuse("IPv6 subnet", text);
  for (std::size_t i = 0; i < 16; ++i) subnet.base.bytes[i] &= mask_byte(subnet.prefix, i);
  return subnet;
}

std::string Ipv6Subnet::str() const { return base.str() + "/" + std::to_string(prefix); }

bool Ipv6Subnet::contains(const Ipv6& address) const {
  for (std::size_t i = 0; i < 16; ++i) {
    if ((address.bytes[i] & mask_byte(prefix, i)) != base.bytes[i]) return false;
  }
  return true;
}

bool Ipv6Subnet::overlaps(const Ipv6Subnet& other) const {
  return contains(other.base) || other.contains(base);
}

Ipv6 Ipv6Subnet::host(std::uint32_t number) const {
  Ipv6 address = base;
  const std::uint32_t word = last_word(base) | number;
  for (std::size_t i = 0; i < 4; ++i) {
    address.bytes[12 + i] = static_cast<std::uint8_t>(word >> (24 - 8 * i) & 255U);
  }
  return address;
}

std::uint32_t Ipv6Subnet::number_of(const Ipv6& address) const {
  return last_word(address) & ~last_word(base);
}

std::uint32_t Ipv6Subnet::last_number() const {
  return prefix <= 96 ? ~std::uint32_t{0} - 1 : ~mask_of(prefix - 96);
}

Ipv6 Ipv6Subnet::end() const {
  Ipv6 address = base;
  for (std::size_t i = 0; i < 16; ++i) {
    address.bytes[i] = static_cast<std::uint8_t>(address.bytes[i] | ~mask_byte(prefix, i));
  }
  for (std::size_t i = 16; i-- > 0;) {
    if (++address.bytes[i] != 0) break;
  }
  return address;
}

IpAddress IpAddress::parse(std::string_view text) {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']') {
    return Ipv6::parse(text.substr(1, text.size() - 2));
  }
  if (text.find(':') != std::string_view::npos) return Ipv6::parse(text);
  return Ipv4::parse(text);
}

bool IpAddress::is_any() const { return is_v6() ? v6() == Ipv6{} : v4().bits == 0; }

bool IpAddress::is_loopback() const {
  if (!is_v6()) return v4().bits >> 24U == 127;
  Ipv6 loopback;
  loopback.bytes[15] = 1;
  return v6() == loopback;
}

std::string IpAddress::str() const { return is_v6() ? v6().str() : v4().str(); }

std::string IpAddress::with_port(std::uint16_t port) const {
  return (is_v6() ? "[" + str() + "]" : str()) + ":" + std::to_string(port);
}

std::array<std::uint8_t, 6> parse_mac(std::string_view text) {
  std::array<std::uint8_t, 6> mac{};
  if (text.size() != 17) refuse("MAC address", text);
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const char* const start = text.data() + i * 3;
    const auto [end, error] = std::from_chars(start, start + 2, mac[i], 16);
    const bool separated = i + 1 == mac.size() || start[2] == ':' || start[2] == '-';
    if (error != std::errc{} || end != start + 2 || !separated) refuse("MAC address", text);
  }
  if ((mac[0] & 1U) != 0) refuse("MAC address", text);  // a group's
  return mac;
}

std::array<std::uint8_t, 6> mac_of(Ipv4 address) {
  const auto byte = [&](unsigned shift) {
    return static_cast<std::uint8_t>(address.bits >> shift & 255U);
  };
  return {0x02, 0x42, byte(24), byte(16), byte(8), byte(0)};
}

std::string format_mac(const std::array<std::uint8_t, 6>& mac) {
  char text[18];
  std::snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3],
                mac[4], mac[5]);
  return text;
}

}  // namespace network
