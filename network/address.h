// Ipv4, Ipv6, their subnets and IpAddress, which is either: addresses as values.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

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

struct Ipv6 {
  std::array<std::uint8_t, 16> bytes{};
  static Ipv6 parse(std::string_view text);  // throws kInvalid
  std::string str() const;
  // NOLINTNEXTLINE(modernize-use-nullptr)
  friend auto operator<=>(const Ipv6&, const Ipv6&) = default;
};

struct Ipv6Subnet {
  Ipv6 base;  // host bits are zero
  int prefix = 0;
  static Ipv6Subnet parse(std::string_view text);  // throws kInvalid
  std::string str() const;
  bool contains(const Ipv6& address) const;
  bool overlaps(const Ipv6Subnet& other) const;
  // The one whose last four bytes are `number` more than the base's; those that are leased.
  Ipv6 host(std::uint32_t number) const;
  std::uint32_t number_of(const Ipv6& address) const;  // what host() takes
  std::uint32_t last_number() const;                   // of the last that four bytes can say
  Ipv6 end() const;                                    // the first behind it; "::" where none is
  // NOLINTNEXTLINE(modernize-use-nullptr)
  friend auto operator<=>(const Ipv6Subnet&, const Ipv6Subnet&) = default;
};

class IpAddress {
 public:
  IpAddress() = default;  // 0.0.0.0
  // Either is an address: these are meant to convert.
  IpAddress(Ipv4 address) : value_(address) {}         // NOLINT(google-explicit-constructor)
  IpAddress(const Ipv6& address) : value_(address) {}  // NOLINT(google-explicit-constructor)
  static IpAddress parse(std::string_view text);       // "10.0.0.1", "::1", "[::1]"; kInvalid

  bool is_v6() const { return std::holds_alternative<Ipv6>(value_); }
  Ipv4 v4() const { return std::get<Ipv4>(value_); }
  const Ipv6& v6() const { return std::get<Ipv6>(value_); }
  bool is_any() const;       // 0.0.0.0 or ::
  bool is_loopback() const;  // 127.0.0.0/8 or ::1
  std::string str() const;
  std::string with_port(std::uint16_t port) const;  // "10.0.0.1:80", "[::1]:80"
  friend bool operator==(const IpAddress&, const IpAddress&) = default;

 private:
  std::variant<Ipv4, Ipv6> value_;
};

std::array<std::uint8_t, 6> mac_of(Ipv4 address);  // 02:42:<address>
std::string format_mac(const std::array<std::uint8_t, 6>& mac);
std::array<std::uint8_t, 6> parse_mac(std::string_view text);  // "02:42:0a:00:00:02"; kInvalid

}  // namespace network
