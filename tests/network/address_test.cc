#include "network/address.h"

#include <string_view>
#include <utility>

#include <gtest/gtest.h>

#include "base/error.h"

namespace network {
namespace {

TEST(Ipv4, ParsesWhatItPrints) {
  for (const char* text : {"0.0.0.0", "10.88.0.2", "255.255.255.255", "127.0.0.1"}) {
    EXPECT_EQ(Ipv4::parse(text).str(), text);
  }
  EXPECT_EQ(Ipv4::parse("1.2.3.4").bits, 0x01020304U);
}

TEST(Ipv4, RefusesEverythingElse) {
  using namespace std::string_view_literals;
  for (const std::string_view text :
       {""sv, "1.2.3"sv, "1.2.3.4.5"sv, "256.0.0.1"sv, "1.2.3.4 "sv, " 1.2.3.4"sv, "01.2.3.4"sv,
        "0x1.2.3.4"sv, "::1"sv, "localhost"sv, "1.2.3.-4"sv, "1.2.3.4\0"sv, "1.2.3.4/8"sv}) {
    SCOPED_TRACE(text);
    try {
      Ipv4::parse(text);
      ADD_FAILURE() << "was taken";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid);
    }
  }
}

TEST(Ipv4Subnet, ClearsHostBits) {
  constexpr std::pair<const char*, const char*> kCases[] = {
      {"10.88.3.4/16", "10.88.0.0/16"},
      {"192.168.1.255/25", "192.168.1.128/25"},
      {"1.2.3.4/32", "1.2.3.4/32"},
      {"1.2.3.4/0", "0.0.0.0/0"}};
  for (const auto& [text, expected] : kCases) EXPECT_EQ(Ipv4Subnet::parse(text).str(), expected);
}

TEST(Ipv4Subnet, RefusesEverythingElse) {
  for (const char* text : {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x",
                           "10.0.0/8", "/8", "10.0.0.0/ 8", "10.0.0.0/+8", "10.0.0.0/008"}) {
    EXPECT_THROW(Ipv4Subnet::parse(text), base::Error) << text;
  }
}

TEST(Ipv4Subnet, KnowsItsHosts) {
  const Ipv4Subnet subnet = Ipv4Subnet::parse("10.88.0.0/16");
  EXPECT_EQ(subnet.first_host().str(), "10.88.0.1");
  EXPECT_EQ(subnet.last_host().str(), "10.88.255.254");
  EXPECT_EQ(subnet.broadcast().str(), "10.88.255.255");
  EXPECT_EQ(subnet.mask().str(), "255.255.0.0");
  EXPECT_TRUE(subnet.contains(Ipv4::parse("10.88.200.1")));
  EXPECT_FALSE(subnet.contains(Ipv4::parse("10.89.0.0")));
}

TEST(Ipv4Subnet, Overlaps) {
  const auto overlap = [](const char* one, const char* two) {
    const bool forth = Ipv4Subnet::parse(one).overlaps(Ipv4Subnet::parse(two));
    EXPECT_EQ(forth, Ipv4Subnet::parse(two).overlaps(Ipv4Subnet::parse(one)));
    return forth;
  };
  EXPECT_TRUE(overlap("10.0.0.0/8", "10.88.0.0/16"));
  EXPECT_TRUE(overlap("10.88.0.0/16", "10.88.0.0/16"));
  EXPECT_TRUE(overlap("0.0.0.0/0", "10.88.0.0/16"));
  EXPECT_TRUE(overlap("10.88.0.1/32", "10.88.0.0/16"));
  EXPECT_FALSE(overlap("10.87.0.0/16", "10.88.0.0/16"));
}

TEST(Mac, CarriesTheAddress) {
  EXPECT_EQ(format_mac(mac_of(Ipv4::parse("10.88.0.2"))), "02:42:0a:58:00:02");
}

}  // namespace
}  // namespace network
