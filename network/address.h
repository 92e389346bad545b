// Ipv4 and Ipv4Subnet: addresses as values, host byte order inside.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace network {

struct Ipv4 {
  std::uint32_t bits = 0;                    // host byte order
  static Ipv4 parse(std::string_view text);  // throws kInvalid
  std::string str() const;
  // clang-tidy 14 takes the comparison with 0 that this stands for as a null pointer.
  // NOLINTNEXTLINE(modernize-use-nullptr)
  friend auto operator<=>(const Ipv4&, const Ipv4&) = default;
};

struct Ipv4Subnet {
  Ipv4 base;  // host bits are zero
  int prefix = 0;
  static Ipv4Subnet parse(
      std::string_view text);  // "10.88.0.0/16"; host bits are cleared; throws kInvalid
  std::string str() const;
  bool contains(Ipv4 address) const;
  bool overlaps(const Ipv4Subnet& other) const;
  Ipv4 first_host() const;  // base + 1
  Ipv4 last_host() const;   // broadcast - 1
  Ipv4 broadcast() const;
  Ipv4 mask() const;
  // NOLINTNEXTLINE(modernize-use-nullptr)
  friend auto operator<=>(const Ipv4Subnet&, const Ipv4Subnet&) = default;
};

std::array<std::uint8_t, 6> mac_of(Ipv4 address);  // 02:42:<address>
std::string format_mac(const std::array<std::uint8_t, 6>& mac);

}  // namespace network
