#include "registry/trust.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace {

using registry::InsecureHosts;
using registry::Reach;
using registry::Url;

TEST(Trust, KnowsHowFarAnAddressReaches) {
  const std::pair<const char*, Reach> kCases[] = {
      {"registry-1.docker.io", Reach::kPublic},
      {"8.8.8.8", Reach::kPublic},
      {"2606:4700::1111", Reach::kPublic},
      {"172.32.0.1", Reach::kPublic},
      {"localhost", Reach::kLoopback},
      {"a.localhost", Reach::kLoopback},
      {"localhost.", Reach::kLoopback},
      {"127.9.9.9", Reach::kLoopback},
      {"2130706433", Reach::kLoopback},
      {"0x7f.1", Reach::kLoopback},
      {"::1", Reach::kLoopback},
      {"::ffff:127.0.0.1", Reach::kLoopback},
      {"10.1.2.3", Reach::kPrivate},
      {"172.16.0.1", Reach::kPrivate},
      {"192.168.1.1", Reach::kPrivate},
      {"100.64.0.1", Reach::kPrivate},
      {"fd00:ec2::254", Reach::kPrivate},
      {"64:ff9b::a00:1", Reach::kPrivate},
      {"169.254.169.254", Reach::kNever},
      {"::ffff:169.254.169.254", Reach::kNever},
      {"fe80::1", Reach::kNever},
      {"0.0.0.0", Reach::kNever},
      {"::", Reach::kNever},
      {"255.255.255.255", Reach::kNever},
  };
  for (const auto& [host, reach] : kCases) {
    SCOPED_TRACE(host);
    EXPECT_EQ(registry::reach_of(host), reach);
  }
}

TEST(Trust, InsecureHostsAreLoopbackAndWhatIsListed) {
  const InsecureHosts hosts({"Registry.lan:5000", "plain.lan", "10.0.0.0/8", "fd00::/9"});
  for (const char* url : {"https://localhost:5000", "http://127.0.0.1", "https://[::1]:5000",
                          "https://registry.lan:5000", "https://plain.lan", "http://plain.lan",
                          "https://10.200.0.1:5000", "https://[fd12::1]:5000"}) {
    EXPECT_TRUE(hosts.contains(Url::parse(url))) << url;
  }
  for (const char* url : {"https://registry.lan", "https://registry.lan:5001",
                          "https://plain.lan:5000", "https://11.0.0.1", "https://[fdff::1]:5000"}) {
    EXPECT_FALSE(hosts.contains(Url::parse(url))) << url;
  }
  EXPECT_FALSE(InsecureHosts({}).contains(Url::parse("https://10.0.0.1")));
}

TEST(Trust, RefusesEntriesThatMeanNothing) {
  for (const char* entry :
       {"", "http://h", "10.0.0.0/33", "10.0.0.0/", "h/8", "10.0.0.0/8x", "a b", "h:x"}) {
    SCOPED_TRACE(entry);
    EXPECT_THROW(InsecureHosts({entry}), base::Error);
  }
}

TEST(Trust, TokenServersMustNotBeNearerThanTheRegistry) {
  const InsecureHosts insecure({"auth.lan:80", "10.9.0.0/16"});
  const struct {
    const char *registry, *realm;
    bool allowed;
  } kCases[] = {
      {"https://r.io", "https://auth.r.io/token", true},
      {"https://r.io", "http://auth.r.io/token", false},
      {"https://r.io", "https://127.0.0.1/token", false},
      {"https://r.io", "https://localhost:9/token", false},
      {"https://r.io", "https://10.0.0.1/token", false},
      {"https://r.io", "https://10.9.0.1/token", true},  // listed by the user
      {"https://r.io", "https://169.254.169.254/latest/meta-data", false},
      {"https://r.io", "https://[::ffff:169.254.169.254]/", false},
      {"https://10.0.0.2", "https://10.0.0.1/token", true},
      {"https://10.0.0.2", "https://127.0.0.1/token", false},
      {"https://10.0.0.2", "https://10.0.0.2:8443/token", true},
      {"http://localhost:5000", "http://localhost:5001/token", true},
      {"http://localhost:5000", "https://auth.r.io/token", true},
      {"https://localhost:5000", "http://localhost:5001/token", false},
      {"http://localhost:5000", "http://169.254.169.254/", false},
      {"https://169.254.1.1", "https://169.254.1.1/token", true},
  };
  for (const auto& [registry, realm, allowed] : kCases) {
    SCOPED_TRACE(std::string(registry) + " -> " + realm);
    EXPECT_EQ(why_not_a_realm(Url::parse(registry), Url::parse(realm), insecure).empty(), allowed);
  }
}

}  // namespace
