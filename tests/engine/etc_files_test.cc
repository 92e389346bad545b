#include "engine/etc_files.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

constexpr char kDefaults[] =
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n";

TEST(Hosts, HoldDefaultsExtrasAndTheContainerItself) {
  ContainerOptions options;
  options.extra_hosts = {"db:10.0.0.5", "gw:host-gateway", "six:[fe80::1]", "old=10.0.0.6"};
  EXPECT_EQ(render_hosts(options, {.hostname = "box",
                                   .domainname = "example",
                                   .addresses = {"10.88.0.2"},
                                   .host_gateway = "10.88.0.1",
                                   .host_file = {}}),
            std::string(kDefaults) +
                "10.0.0.5\tdb\n10.88.0.1\tgw\nfe80::1\tsix\n10.0.0.6\told\n"
                "10.88.0.2\tbox.example box\n");
}

TEST(Hosts, WithoutAnAddressThereIsNoLineOfItsOwn) {
  ContainerOptions options;
  options.network = NetworkMode::kNone;
  EXPECT_EQ(render_hosts(options, {.hostname = "box"}), kDefaults);
}

TEST(Hosts, HostNetworkTakesTheHostsFile) {
  ContainerOptions options;
  options.network = NetworkMode::kHost;
  options.extra_hosts = {"a:1.2.3.4"};
  EXPECT_EQ(render_hosts(options, {.hostname = "box", .host_file = "127.0.0.1 me"}),
            "127.0.0.1 me\n1.2.3.4\ta\n");
}

TEST(Hosts, BadExtrasAreRefused) {
  for (const char* bad : {"", "name", "name:", ":1.2.3.4", "gw:host-gateway"}) {
    ContainerOptions options;
    options.extra_hosts = {bad};
    EXPECT_THROW(render_hosts(options, {.hostname = "box"}), base::Error) << bad;
  }
}

TEST(ResolvConf, LoopbackServersAreLeftOut) {
  EXPECT_EQ(render_resolv_conf({},
                               "# comment\nnameserver 127.0.0.53\nnameserver 10.0.0.1 # x\n"
                               "nameserver ::1\nsearch a b\noptions ndots:2 edns0\n"),
            "nameserver 10.0.0.1\nsearch a b\noptions ndots:2 edns0\n");
}

TEST(ResolvConf, FallsBackWhereNoServerIsLeft) {
  EXPECT_EQ(render_resolv_conf({}, "nameserver 127.0.0.1\n"),
            "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
  EXPECT_EQ(render_resolv_conf({}, ""), "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
}

TEST(ResolvConf, TheUsersWordsReplaceTheHosts) {
  ContainerOptions options;
  options.dns = {"10.1.1.1"};
  options.dns_search = {"."};
  options.dns_options = {"ndots:9"};
  EXPECT_EQ(render_resolv_conf(options, "nameserver 10.0.0.1\nsearch a\noptions b\n"),
            "nameserver 10.1.1.1\noptions ndots:9\n");
}

TEST(ResolvConf, HostNetworkKeepsTheHostsFile) {
  ContainerOptions options;
  options.network = NetworkMode::kHost;
  EXPECT_EQ(render_resolv_conf(options, "nameserver 127.0.0.1\n# x\n"),
            "nameserver 127.0.0.1\n# x\n");
}

}  // namespace
}  // namespace engine
