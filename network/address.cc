#include "network/address.h"

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
