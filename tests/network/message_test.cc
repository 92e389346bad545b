#include "network/message.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <random>
#include <sys/socket.h>

#include <gtest/gtest.h>

#include "network/elements.h"
#include "network/link.h"

namespace network {
namespace {

TEST(Message, IsReadBack) {
  ifinfomsg header{};
  header.ifi_index = 7;
  const Bytes bytes =
      Message(RTM_NEWLINK, NLM_F_CREATE, header)
          .text(IFLA_IFNAME, "sampan0")
          .u32(IFLA_MTU, 1400)
          .nest(IFLA_LINKINFO, [](Message& info) { info.text(IFLA_INFO_KIND, "bridge"); })
          .finish();
  EXPECT_EQ(header_of<ifinfomsg>(bytes).ifi_index, 7);
  const AttributeList attributes = AttributeList::of_message(bytes, sizeof header);
  EXPECT_EQ(attributes.text(IFLA_IFNAME), "sampan0");
  EXPECT_EQ(attributes.u32(IFLA_MTU), 1400U);
  EXPECT_EQ(attributes.u32(IFLA_MASTER, 42), 42U);
  EXPECT_EQ(attributes.find_nest(IFLA_LINKINFO).text(IFLA_INFO_KIND), "bridge");
  EXPECT_TRUE(attributes.find_nest(IFLA_AF_SPEC).text(IFLA_INFO_KIND).empty());
  EXPECT_EQ(parse_link(bytes).kind, "bridge");
}

// The kernel is trusted, but a reader that runs over the end of a message is a reader with a bug.
TEST(Message, TruncatedAndMangledMessagesAreReadWithoutHarm) {
  ifinfomsg header{};
  const Bytes whole =
      Message(RTM_NEWLINK, 0, header)
          .text(IFLA_IFNAME, "sampan0")
          .nest(IFLA_LINKINFO, [](Message& info) { info.text(IFLA_INFO_KIND, "bridge"); })
          .finish();
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    const Bytes part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    static_cast<void>(parse_link(part));
    static_cast<void>(is_local_address_of(part, 1));
    static_cast<void>(parse_network(part));
  }
  std::minstd_rand random(1);
  for (int round = 0; round < 20000; ++round) {
    Bytes mangled = whole;
    for (int i = 0; i < 3; ++i) {
      mangled[sizeof(nlmsghdr) + random() % (mangled.size() - sizeof(nlmsghdr))] =
          static_cast<std::uint8_t>(random());
    }
    static_cast<void>(parse_link(mangled));
    static_cast<void>(parse_network(mangled));
  }
}

TEST(ParseNetwork, AddressesAndRoutes) {
  ifaddrmsg address{};
  address.ifa_family = AF_INET;
  address.ifa_prefixlen = 24;
  EXPECT_EQ(
      parse_network(
          Message(RTM_NEWADDR, 0, address).address(IFA_ADDRESS, Ipv4::parse("192.0.2.9")).finish()),
      Ipv4Subnet::parse("192.0.2.0/24"));
  const auto route = [](int family, int prefix) {
    rtmsg header{};
    header.rtm_family = static_cast<unsigned char>(family);
    header.rtm_dst_len = static_cast<unsigned char>(prefix);
    return parse_network(
        Message(RTM_NEWROUTE, 0, header).address(RTA_DST, Ipv4::parse("10.0.0.0")).finish());
  };
  EXPECT_EQ(route(AF_INET, 8), Ipv4Subnet::parse("10.0.0.0/8"));
  EXPECT_FALSE(route(AF_INET, 0));  // a default route
  EXPECT_FALSE(route(AF_INET, 1));  // half of one
  EXPECT_FALSE(route(AF_INET6, 8));
  EXPECT_FALSE(route(AF_INET, 200));
}

TEST(Elements, AreReadBack) {
  BridgeConfig config;
  const PublishedElement written{.owner = std::string(64, 'a'),
                                 .container_address = Ipv4::parse("10.208.0.2"),
                                 .port = {Ipv4::parse("127.0.0.1"), 8080, 80, Protocol::kUdp}};
  for (const Ipv4 host_address : {Ipv4{0}, Ipv4::parse("127.0.0.1")}) {
    PublishedElement element = written;
    element.port.host_address = host_address;
    const auto read = parse_elements(add_element_step(config, element).message);
    ASSERT_EQ(read.size(), 1U);
    EXPECT_EQ(read.front().owner, element.owner);
    EXPECT_EQ(read.front().container_address, element.container_address);
    EXPECT_EQ(read.front().port, element.port);
  }
}

}  // namespace
}  // namespace network
