// Which servers are asked for a repository: hosts.toml, registries.conf, certificates.
#include "registry/registry_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "registry/challenge.h"
#include "registry/config_files.h"
#include "registry/hosts_toml.h"
#include "registry/paging.h"
#include "registry/registries_conf.h"
#include "tests/registry/fake_registry.h"

namespace {

using registry::Endpoint;
using registry::Operation;
using registry::RegistryConfig;
using registry::Repository;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Repository repository(const std::string& name) {
  return Repository::of(oci::Reference::parse(name));
}

std::vector<std::string> bases(const RegistryConfig& config, const std::string& name,
                               Operation operation = Operation::kPull) {
  std::vector<std::string> urls;
  for (const Endpoint& endpoint : plan_endpoints(config, repository(name), operation)) {
    urls.push_back(endpoint.base.str() + endpoint.repository.path +
                   (endpoint.name_space.empty() ? "" : "?ns=" + endpoint.name_space));
  }
  return urls;
}

std::string no_file(const std::string& name) { return "content of " + name; }

TEST(RegistryConfig, NothingConfiguredIsTheRegistryItself) {
  EXPECT_THAT(bases({}, "alpine"), ElementsAre("https://registry-1.docker.io/v2/library/alpine"));
  EXPECT_THAT(bases({}, "lan:5000/a/b"), ElementsAre("https://lan:5000/v2/a/b"));
}

TEST(RegistryConfig, HostsInTheOrderOfTheFileByWhatTheyAreGoodFor) {
  RegistryConfig config;
  config.hosts["docker.io"] = registry::parse_hosts_toml(R"(
server = "https://registry-1.docker.io"
[host."https://z.lan"]
capabilities = ["pull"]
[host."http://a.lan:5000/v2/proxy"]
capabilities = ["pull", "resolve", "push"]
override_path = true
)",
                                                         no_file);
  EXPECT_THAT(bases(config, "alpine"),
              ElementsAre("https://z.lan/v2/library/alpine?ns=docker.io",
                          "http://a.lan:5000/v2/proxy/library/alpine?ns=docker.io",
                          "https://registry-1.docker.io/v2/library/alpine"));
  EXPECT_THAT(bases(config, "alpine", Operation::kResolve),
              ElementsAre("http://a.lan:5000/v2/proxy/library/alpine?ns=docker.io",
                          "https://registry-1.docker.io/v2/library/alpine"));
  EXPECT_THAT(bases(config, "alpine", Operation::kPush),
              ElementsAre("http://a.lan:5000/v2/proxy/library/alpine?ns=docker.io"));
  EXPECT_THAT(list_credential_domains(config, "docker.io/library/alpine"),
              ElementsAre("a.lan:5000", "docker.io", "z.lan"));
}

TEST(RegistryConfig, EverythingAHostMaySay) {
  const auto file = registry::parse_hosts_toml(R"(
[host."https://m"]
ca = ["a.crt", "b.crt"]
client = [["c.cert", "c.key"]]
skip_verify = true
dial_timeout = "1.5s"
[host."https://m".header]
x-a = ["1", "2"]
)",
                                               no_file);
  const auto& host = file.mirrors.at(0);
  EXPECT_THAT(host.tls.authorities, ElementsAre("content of a.crt", "content of b.crt"));
  EXPECT_EQ(host.tls.clients.at(0).key, "content of c.key");
  EXPECT_TRUE(host.tls.skip_verify);
  EXPECT_EQ(host.dial_timeout_ms, 1500);
  EXPECT_THAT(host.headers, ElementsAre("x-a: 1", "x-a: 2"));
  for (const char* text : {"server = 1", "[host.\"https://m\"]\ncapabilities = [\"fly\"]",
                           "host = 1", "[", "[host.\"https://m\"]\ndial_timeout = \"soon\""}) {
    EXPECT_THROW(registry::parse_hosts_toml(text, no_file), base::Error) << text;
  }
}

TEST(RegistryConfig, TheLongestPrefixOfRegistriesConfRewrites) {
  RegistryConfig config;
  config.registries = registry::parse_registries_conf(R"(
[[registry]]
prefix = "example.com"
location = "all.lan"
[[registry]]
prefix = "example.com/team"
location = "team.lan/x"
insecure = true
[[registry.mirror]]
location = "mirror.lan/y"
pull-from-mirror = "digest-only"
[[registry]]
prefix = "*.wild.com"
location = "wild.lan"
[[registry]]
location = "bad.com"
blocked = true
)");
  EXPECT_THAT(bases(config, "example.com/a"), ElementsAre("https://all.lan/v2/a"));
  EXPECT_THAT(bases(config, "example.com:5000/a"), ElementsAre("https://example.com:5000/v2/a"));
  EXPECT_THAT(bases(config, "example.com/teams/a"), ElementsAre("https://all.lan/v2/teams/a"));
  EXPECT_THAT(bases(config, "example.com/team/a"),
              ElementsAre("https://mirror.lan/v2/y/a", "https://team.lan/v2/x/a"));
  EXPECT_THAT(bases(config, "example.com/team/a", Operation::kResolve),
              ElementsAre("https://team.lan/v2/x/a"));
  EXPECT_THAT(bases(config, "example.com/team/a", Operation::kPush),
              ElementsAre("https://team.lan/v2/x/a"));
  EXPECT_THAT(bases(config, "a.b.wild.com/c"), ElementsAre("https://wild.lan/v2/c"));
  EXPECT_THAT(bases(config, "wild.com/c"), ElementsAre("https://wild.com/v2/c"));
  EXPECT_THROW(bases(config, "bad.com/a"), base::Error);
  for (const char* text :
       {"[registries.search]\nregistries = []", "[[registry]]\ninsecure = true",
        "[[registry]]\nlocation = \"https://a\"", "[[registry]]\nprefix = \"a.*.com\""}) {
    EXPECT_THROW(registry::parse_registries_conf(text), base::Error) << text;
  }
}

TEST(RegistryConfig, ShortNames) {
  const auto conf = registry::parse_registries_conf(
      "unqualified-search-registries = [\"one.lan\", \"docker.io\"]\n"
      "short-name-mode = \"enforcing\"\n[aliases]\n\"ubi\" = \"redhat.lan/ubi9\"\n");
  EXPECT_THAT(expand_short_name(conf, "ubi:1"), ElementsAre("redhat.lan/ubi9:1"));
  EXPECT_THAT(expand_short_name(conf, "x"), ElementsAre("one.lan/x", "docker.io/library/x"));
  EXPECT_THAT(expand_short_name(conf, "team/x:1"),
              ElementsAre("one.lan/team/x:1", "docker.io/team/x:1"));
  EXPECT_THAT(expand_short_name(conf, "lan:5000/x"), ElementsAre("lan:5000/x"));
  EXPECT_THAT(expand_short_name(conf, "Lan/x"), ElementsAre("Lan/x"));
  EXPECT_THAT(expand_short_name(conf, "localhost/x"), ElementsAre("localhost/x"));
  EXPECT_THAT(registry::expand_short_name({}, "x"), ElementsAre("x"));
}

TEST(RegistryConfig, DockersCertificatesAndBrokenFolders) {
  const registry_test::TempFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    const auto path = folder.path() / name;
    base::make_dirs(path.parent_path());
    base::write_file(path, text);
  };
  write("lan:5000/ca.crt", "authority");
  write("lan:5000/client.cert", "certificate");
  write("lan:5000/client.key", "key");
  write("broken/client.cert", "certificate");
  write("other_5000_/hosts.toml", "[host.\"https://m\"]");
  const auto config = registry::load_registry_config({.certificate_folders = {folder.path()}});
  const auto endpoint = plan_endpoints(config, repository("lan:5000/a"), Operation::kPull).at(0);
  EXPECT_THAT(endpoint.tls.authorities, ElementsAre("authority"));
  EXPECT_EQ(endpoint.tls.clients.at(0).key, "key");
  EXPECT_THAT(plan_endpoints(config, repository("lan/a"), Operation::kPull).at(0).tls.authorities,
              IsEmpty());
  EXPECT_EQ(bases(config, "other:5000/a").size(), 2U);
  try {
    bases(config, "broken/a:1");  // docker.io's: nobody is hurt
    bases({.errors = config.errors}, "broken.lan/a");
  } catch (const base::Error& error) {
    FAIL() << error.what();
  }
  EXPECT_THAT(config.errors.at("broken"), HasSubstr("missing key"));
}

TEST(Scopes, AreMerged) {
  EXPECT_THAT(registry::merge_scopes({"repository:lan:5000/a:pull", "registry:catalog:*",
                                      "repository:lan:5000/a:push,pull", "nonsense"}),
              ElementsAre("registry:catalog:*", "repository:lan:5000/a:pull,push"));
}

TEST(Paging, OnlyTheQueryOfTheNextPageCounts) {
  EXPECT_EQ(registry::parse_next_query("</v2/a/tags/list?last=b&n=2>; rel=\"next\""), "last=b&n=2");
  EXPECT_EQ(registry::parse_next_query("<http://evil/x>; rel=prev, <http://evil/x?n=1>; rel=next"),
            "n=1");
  for (const char* header : {"", "<", "</x?n=1>", "</x?n=1>; rel=\"prev\"", "</x>; rel=next"}) {
    EXPECT_EQ(registry::parse_next_query(header), "") << header;
  }
}

}  // namespace
