#include "registry/url.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace {

using registry::Url;

TEST(Url, TakesAddressesApart) {
  const struct {
    const char *text, *scheme, *host;
    int port;
    const char *target, *authority;
  } kCases[] = {
      {"https://registry.lan", "https", "registry.lan", 443, "/", "registry.lan"},
      {"HTTP://Registry.LAN:5000/v2/?n=1#x", "http", "registry.lan", 5000, "/v2/?n=1",
       "registry.lan:5000"},
      {"https://[::1]:5000/v2", "https", "::1", 5000, "/v2", "[::1]:5000"},
      {"http://h:80/a", "http", "h", 80, "/a", "h"},
      {"https://h:80/a", "https", "h", 80, "/a", "h:80"},
      {"https://h/a/../b%2f", "https", "h", 443, "/a/../b%2f", "h"},
      {"https://h/a b", "https", "h", 443, "/a%20b", "h"},
      {"http://2130706433/", "http", "127.0.0.1", 80, "/", "127.0.0.1"},
      {"http://0x7f.1/", "http", "127.0.0.1", 80, "/", "127.0.0.1"},
      {"http://%6cocalhost/", "http", "localhost", 80, "/", "localhost"},
  };
  for (const auto& expected : kCases) {
    SCOPED_TRACE(expected.text);
    const Url url = Url::parse(expected.text);
    EXPECT_EQ(url.scheme, expected.scheme);
    EXPECT_EQ(url.host, expected.host);
    EXPECT_EQ(url.port, expected.port);
    EXPECT_EQ(url.target, expected.target);
    EXPECT_EQ(url.authority(), expected.authority);
    EXPECT_EQ(Url::parse(url.str()), url);
  }
}

TEST(Url, RefusesWhatIsNotPlainHttp) {
  for (const char* text : {
           "",
           "registry.lan",
           "/v2/",
           "file:///etc/passwd",
           "gopher://h/",
           "ftp://h/",
           "http://",
           "https://user@h/",
           "https://user:password@h/",
           "http://h:0/",
           "http://h:65536/",
           "http://h:x/",
           "http://[fe80::1%25eth0]/",
           "http://h\r\nX: y/",
           "http://h/\x01",
           "javascript:alert(1)",
       }) {
    SCOPED_TRACE(text);
    EXPECT_THROW(Url::parse(text), base::Error);
  }
  EXPECT_THROW(Url::parse("http://h/" + std::string(100'000, 'a')), base::Error);
}

TEST(Url, ResolvesLocations) {
  const Url base = Url::parse("https://h:5000/v2/a/blobs/x?old=1");
  const std::pair<const char*, const char*> kCases[] = {
      {"/other?sig=a%2Fb", "https://h:5000/other?sig=a%2Fb"},
      {"y", "https://h:5000/v2/a/blobs/y"},
      {"../uploads/1", "https://h:5000/v2/a/uploads/1"},
      {"//cdn.lan/z", "https://cdn.lan/z"},
      {"http://127.0.0.1/", "http://127.0.0.1/"},
      {"?n=2", "https://h:5000/v2/a/blobs/x?n=2"},
  };
  for (const auto& [location, expected] : kCases) {
    SCOPED_TRACE(location);
    EXPECT_EQ(base.resolve(location).str(), expected);
  }
  EXPECT_THROW(base.resolve("file:///etc/passwd"), base::Error);
  EXPECT_THROW(base.resolve("https://u:p@h/"), base::Error);
}

TEST(Url, SameOriginNeedsSchemeHostAndPort) {
  const Url url = Url::parse("https://h/a");
  EXPECT_TRUE(is_same_origin(url, Url::parse("https://H:443/b")));
  EXPECT_FALSE(is_same_origin(url, Url::parse("http://h:443/a")));
  EXPECT_FALSE(is_same_origin(url, Url::parse("https://h:444/a")));
  EXPECT_FALSE(is_same_origin(url, Url::parse("https://h.lan/a")));
}

TEST(Url, AppendsToAQueryThatIsThere) {
  const registry::QueryParameters parameters = {{"service", "a b"}, {"scope", "repository:x:pull"}};
  const std::string query = "service=a%20b&scope=repository%3Ax%3Apull";
  EXPECT_EQ(with_query(Url::parse("https://h/t"), parameters).target, "/t?" + query);
  EXPECT_EQ(with_query(Url::parse("https://h/t?k=v"), parameters).target, "/t?k=v&" + query);
  EXPECT_EQ(with_query(Url::parse("https://h/t?k=v&"), parameters).target, "/t?k=v&" + query);
  EXPECT_EQ(with_query(Url::parse("https://h/t?k=v"), {}).target, "/t?k=v");
}

}  // namespace
