#include "oci/reference.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/oci/refusal.h"

namespace {

using oci::Reference;

const std::string kDigest = "sha256:" + std::string(64, '1');
const std::string kHex(64, 'a');

struct Good {
  std::string input, full, familiar;
};

TEST(Reference, NormalisesAndShowsWhatDockerShows) {
  const std::string longest(255, 'a');
  const Good table[] = {
      {"alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"alpine:3.19", "docker.io/library/alpine:3.19", "alpine:3.19"},
      {"library/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"},
      {"user/app", "docker.io/user/app:latest", "user/app:latest"},
      {"library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"},
      {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
      {"localhost", "docker.io/library/localhost:latest", "localhost:latest"},
      {"localhost:5000/a/b:v1", "localhost:5000/a/b:v1", "localhost:5000/a/b:v1"},
      {"Foo/bar", "Foo/bar:latest", "Foo/bar:latest"},
      {"test.com", "docker.io/library/test.com:latest", "test.com:latest"},
      {"test.com:5000", "docker.io/library/test.com:5000", "test.com:5000"},
      {"192.168.0.1:80", "docker.io/library/192.168.0.1:80", "192.168.0.1:80"},
      {"192.168.0.1:80/x", "192.168.0.1:80/x:latest", "192.168.0.1:80/x:latest"},
      {"[2001:db8::1]/x", "[2001:db8::1]/x:latest", "[2001:db8::1]/x:latest"},
      {"[2001:DB8::1]:5000/x:y", "[2001:DB8::1]:5000/x:y", "[2001:DB8::1]:5000/x:y"},
      {"xn--n3h.com/myimage", "xn--n3h.com/myimage:latest", "xn--n3h.com/myimage:latest"},
      {"a-b--c.example.com/x", "a-b--c.example.com/x:latest", "a-b--c.example.com/x:latest"},
      {"dock__er/a.b_c---d", "docker.io/dock__er/a.b_c---d:latest", "dock__er/a.b_c---d:latest"},
      {"docker.io/" + kHex, "docker.io/library/" + kHex + ":latest", "library/" + kHex + ":latest"},
      {kHex.substr(1), "docker.io/library/" + kHex.substr(1) + ":latest",
       kHex.substr(1) + ":latest"},
      {"docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x:latest"},
      {"docker.io/a.b/x", "docker.io/a.b/x:latest", "docker.io/a.b/x:latest"},
      {"a@" + kDigest, "docker.io/library/a@" + kDigest, "a@" + kDigest},
      {"a:t@" + kDigest, "docker.io/library/a:t@" + kDigest, "a:t@" + kDigest},
      {"h:1/a:t@" + kDigest, "h:1/a:t@" + kDigest, "h:1/a:t@" + kDigest},
      {"a:_A.b-C", "docker.io/library/a:_A.b-C", "a:_A.b-C"},
      {"a:" + std::string(128, 'x'), "docker.io/library/a:" + std::string(128, 'x'),
       "a:" + std::string(128, 'x')},
      {"example.com/" + longest, "example.com/" + longest + ":latest",
       "example.com/" + longest + ":latest"},
  };
  for (const Good& good : table) {
    SCOPED_TRACE(good.input);
    const Reference reference = Reference::parse(good.input);
    EXPECT_EQ(reference.str(), good.full);
    EXPECT_EQ(reference.familiar(), good.familiar);
    EXPECT_EQ(Reference::parse(reference.str()), reference);
    EXPECT_EQ(Reference::parse(reference.familiar()), reference);
  }
}

TEST(Reference, RefusesWhatDockerRefuses) {
  const std::string bad[] = {
      "",
      ":",
      ":tag",
      "@" + kDigest,
      "/",
      "/a",
      "a/",
      "a//b",
      "a///b",
      "a/b/",
      kHex,
      "https://github.com/docker/docker",
      "docker/Docker",
      "Alpine",
      "docker.io/Alpine",
      "-docker",
      "docker-",
      "-docker/x",
      "docker-/x",
      "_docker",
      "docker_",
      "docker.",
      ".docker",
      "dock..er",
      "dock___er",
      "dock_.er",
      "dock.-er",
      "dock_-er",
      "-foo.com/x",
      "foo-.com/x",
      "foo..com/x",
      ".com/x",
      "foo_bar.com/x",
      "foo.com:port/x",
      "foo.com:/x",
      "foo.com:80:80/x",
      "[::1]",
      "[::1]:80",
      "[]/x",
      "[fe80::1%eth0]/x",
      "[fe80::1%25eth0]:80/x",
      "[::ffff:192.0.2.1]/x",
      "::1/x",
      "[::1/x",
      "::1]/x",
      "a:",
      "a:.tag",
      "a:-tag",
      "a:ta/g",
      "a:t:u",
      "a:" + std::string(129, 'x'),
      "a@",
      "a@sha256",
      "a@sha256:",
      "a@sha256:abc",
      "a@sha256:" + std::string(64, 'A'),
      "a@sha256:" + std::string(65, '1'),
      "a@" + kDigest + "@" + kDigest,
      "a@" + kDigest + ":tag",
      "a@sha256:../../etc/passwd" + std::string(40, 'a'),
      "a b",
      " a",
      "a\n",
      "a:t\n",
      std::string("a\0b", 3),
      std::string("a:t\0", 4),
      "\xC3\xA4",
      "a\x1b]0;x\x07",
      "example.com/" + std::string(256, 'a'),
      std::string(248, 'a'),
      std::string(1'000'000, 'a'),
      "aa/asdf$$^/aa",
      "%61",
  };
  for (const std::string& text : bad) {
    SCOPED_TRACE(text.substr(0, 100));
    const std::string said = refusal_of([&] { Reference::parse(text); });
    EXPECT_TRUE(said.starts_with("invalid reference \"")) << said;
    EXPECT_EQ(said.find('\x1b'), std::string::npos);
    EXPECT_LT(said.size(), 500U);
  }
}

TEST(Reference, SaysWhy) {
  const auto why = [](const std::string& text) {
    return refusal_of([&] { Reference::parse(text); });
  };
  EXPECT_EQ(why("docker/Docker"),
            "invalid reference \"docker/Docker\": repository name must be lowercase");
  EXPECT_NE(why("a@sha512:" + std::string(128, '1')).find("\"sha512\" is not supported"),
            std::string::npos);
  EXPECT_NE(why("foo_bar.com/x").find("host name"), std::string::npos);
  EXPECT_NE(why(kHex).find("image id"), std::string::npos);
}

TEST(Reference, KnowsWhomToAskForWhat) {
  EXPECT_EQ(Reference::parse("alpine").api_host(), "registry-1.docker.io");
  EXPECT_EQ(Reference::parse("localhost:5000/a").api_host(), "localhost:5000");
  EXPECT_EQ(Reference::parse("alpine:3").manifest_name(), "3");
  EXPECT_EQ(Reference::parse("alpine@" + kDigest).manifest_name(), kDigest);
  EXPECT_EQ(Reference::parse("alpine:3@" + kDigest).manifest_name(), kDigest);
  EXPECT_EQ(Reference::parse("alpine").domain(), "docker.io");
  EXPECT_EQ(Reference::parse("alpine").path(), "library/alpine");
  EXPECT_EQ(Reference::parse("alpine").familiar_repository(), "alpine");
  EXPECT_FALSE(Reference::parse("alpine@" + kDigest).tag());
}

TEST(Reference, TakesAnotherTagOrDigest) {
  const Reference alpine = Reference::parse("alpine:3");
  EXPECT_EQ(alpine.with_tag("4").familiar(), "alpine:4");
  const auto digest = oci::Digest::parse(kDigest);
  EXPECT_EQ(alpine.with_digest(digest).familiar(), "alpine:3@" + kDigest);
  refusal_of([&] { return alpine.with_tag("a/b"); });
  refusal_of([&] { return alpine.with_tag(""); });
}

}  // namespace
