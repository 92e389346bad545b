#include "registry/credentials.h"

#include <cstdlib>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "registry/base64.h"
#include "registry/credential_helper.h"

namespace {

namespace fs = std::filesystem;
using registry::CredentialConfig;
using registry::Credentials;
using registry::CredentialStore;

std::string auth(const std::string& pair) {
  return R"({"auth": ")" + registry::encode_base64(pair) + R"("})";
}

std::string auths(const std::string& key, const std::string& entry) {
  return R"({"auths": {")" + key + R"(": )" + entry + "}}";
}

TEST(Base64, RoundTripsAndRefuses) {
  for (const std::string& bytes :
       {std::string(), std::string("f"), std::string("fo"), std::string("foo"), std::string("foob"),
        std::string("\0\xff\xfe", 3)}) {
    EXPECT_EQ(registry::decode_base64(registry::encode_base64(bytes)), bytes);
  }
  EXPECT_EQ(registry::encode_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(registry::decode_base64("Zm9vYg"), "foob");
  for (const char* text : {"A", "Zm9v!", "Zm9v Yg==", "Zg===", "=Zg="}) {
    EXPECT_EQ(registry::decode_base64(text), std::nullopt) << text;
  }
}

TEST(CredentialConfig, KeysMatchAsDockerWritesThem) {
  const struct {
    const char *key, *domain, *path;
    bool found;
  } kCases[] = {
      {"https://index.docker.io/v1/", "docker.io", "library/a", true},
      {"docker.io", "docker.io", "library/a", true},
      {"index.docker.io", "docker.io", "library/a", true},
      {"registry.lan:5000", "registry.lan:5000", "a", true},
      {"https://registry.lan:5000", "registry.lan:5000", "a", true},
      {"http://registry.lan:5000/v2/", "registry.lan:5000", "a", true},
      {"registry.lan", "registry.lan:5000", "a", false},
      {"registry.lan:5000", "registry.lan", "a", false},
      {"registry.lan/team", "registry.lan", "team/a", true},
      {"registry.lan/team", "registry.lan", "team", true},
      {"registry.lan/team", "registry.lan", "teams/a", false},
      {"https://index.docker.io/v1/", "index.docker.io.evil.lan", "a", false},
      {"", "registry.lan", "a", false},
  };
  for (const auto& [key, domain, path, found] : kCases) {
    SCOPED_TRACE(std::string(key) + " for " + domain);
    const auto config = CredentialConfig::parse(auths(key, auth("u:p")));
    EXPECT_EQ(find_auth(config, domain, path) != nullptr, found);
  }
}

TEST(CredentialConfig, TheLongestNamespaceWins) {
  const auto config = CredentialConfig::parse(
      R"({"auths": {"h": )" + auth("whole:1") + R"(, "https://h/v2/": )" + auth("version:1") +
      R"(, "h/a": )" + auth("team:1") + R"(, "h/a/b": )" + auth("project:1") + "}}");
  const auto user = [&](const char* path) { return find_auth(config, "h", path)->username; };
  EXPECT_EQ(user("x"), "whole");
  EXPECT_EQ(user("a/x"), "team");
  EXPECT_EQ(user("a/b/x"), "project");
  EXPECT_EQ(user("ab"), "whole");
}

TEST(CredentialConfig, ReadsEveryKindOfEntry) {
  const auto entry = [](const std::string& text) {
    const auto config = CredentialConfig::parse(auths("h", text));
    const Credentials* found = find_auth(config, "h", "a");
    return found == nullptr ? Credentials() : *found;
  };
  EXPECT_EQ(entry(auth("u:p:with:colons")).password, "p:with:colons");
  EXPECT_EQ(entry(auth(std::string("u:p\0\0", 5))).password, "p");
  EXPECT_EQ(entry(auth("u:")).username, "u");
  EXPECT_EQ(entry(R"({"username": "u", "password": "p"})").password, "p");
  EXPECT_EQ(entry(R"({"auth": null, "identitytoken": "i"})").identity_token, "i");
  EXPECT_EQ(entry(R"({"registrytoken": "r"})").registry_token, "r");
  for (const std::string& text : {auth(":p"), auth("nothing"), std::string("{}"),
                                  std::string(R"({"auth": "!!"})"), std::string("null")}) {
    EXPECT_FALSE(entry(text).has_password()) << text;
  }
}

TEST(CredentialConfig, RefusesWhatIsNoConfig) {
  for (const char* text : {"", "[]", "x", R"({"auths": []})", R"({"auths": {"h": 1}})",
                           R"({"credsStore": {}})", R"({"auths": {}, "auths": {}})"}) {
    EXPECT_THROW(CredentialConfig::parse(text), base::Error) << text;
  }
  EXPECT_NO_THROW(CredentialConfig::parse(
      R"({"auths": {"h": {}}, "HttpHeaders": {"a": "b"}, "detachKeys": "x"})"));
}

// A folder with config.json, and one in front of $PATH for helpers.
class CredentialStoreTest : public testing::Test {
 protected:
  CredentialStoreTest() {
    fs::create_directories(folder_);
    old_path_ = std::getenv("PATH");
    setenv("PATH", (folder_.string() + ":" + old_path_).c_str(), 1);
    unsetenv("DOCKER_AUTH_CONFIG");
  }
  ~CredentialStoreTest() override {
    setenv("PATH", old_path_.c_str(), 1);
    unsetenv("DOCKER_AUTH_CONFIG");
    unsetenv("DOCKER_CONFIG");
    fs::remove_all(folder_);
  }

  void write_config(const std::string& json) { base::write_file(folder_ / "config.json", json); }
  void write_helper(const std::string& suffix, const std::string& script) {
    const fs::path file = folder_ / ("docker-credential-" + suffix);
    base::write_file(file, "#!/bin/sh\n" + script, 0755);
    chmod(file.c_str(), 0755);
  }
  std::optional<Credentials> find(const std::string& domain) {
    return CredentialStore({.docker_config = folder_ / "config.json"}).find(domain, "a");
  }

  fs::path folder_ = fs::temp_directory_path() / ("sampan-credentials-" + base::random_hex(8));
  std::string old_path_;
};

TEST_F(CredentialStoreTest, NoFileMeansAnonymous) { EXPECT_FALSE(find("h")); }

TEST_F(CredentialStoreTest, ABrokenFileIsAnErrorThatNamesIt) {
  write_config("{");
  try {
    find("h");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find("config.json"), std::string::npos);
  }
}

TEST_F(CredentialStoreTest, TheEnvironmentNamesTheFileOrHoldsIt) {
  write_config(auths("h", auth("file:p")));
  setenv("DOCKER_CONFIG", folder_.c_str(), 1);
  EXPECT_EQ(CredentialStore({}).find("h", "a")->username, "file");
  setenv("DOCKER_AUTH_CONFIG", auths("h", auth("environment:p")).c_str(), 1);
  EXPECT_EQ(CredentialStore({}).find("h", "a")->username, "environment");
  setenv("DOCKER_AUTH_CONFIG", auths("other", auth("environment:p")).c_str(), 1);
  EXPECT_EQ(CredentialStore({}).find("h", "a")->username, "file");
}

TEST_F(CredentialStoreTest, AHelperGetsTheServerOnItsInput) {
  write_config(R"({"credHelpers": {"h:5000": "one"}, "credsStore": "two"})");
  write_helper("one",
               R"(read -r s; test "$1" = get && echo "{\"Username\":\"$s\",\"Secret\":\"1\"}")");
  write_helper("two", R"(read -r s; echo "{\"Username\":\"all $s\",\"Secret\":\"2\"}")");
  EXPECT_EQ(find("h:5000")->username, "h:5000");
  EXPECT_EQ(find("other")->username, "all other");
  EXPECT_EQ(find("docker.io")->username, "all https://index.docker.io/v1/");
}

TEST_F(CredentialStoreTest, AHelpersTokenIsAnIdentityToken) {
  write_config(R"({"credsStore": "one"})");
  write_helper("one", R"(echo '{"ServerURL":"h","Username":"<token>","Secret":"refresh"}')");
  const auto credentials = find("h");
  ASSERT_TRUE(credentials);
  EXPECT_EQ(credentials->identity_token, "refresh");
  EXPECT_FALSE(credentials->has_password());
}

TEST_F(CredentialStoreTest, AHelperThatKnowsNothingMeansAnonymousOrTheFile) {
  write_helper("one", "echo 'credentials not found in native keychain'; exit 1");
  write_config(R"({"credsStore": "one"})");
  EXPECT_FALSE(find("h"));
  write_config(R"({"credsStore": "one", "auths": {"h": )" + auth("u:p") + "}}");
  EXPECT_EQ(find("h")->username, "u");
}

TEST_F(CredentialStoreTest, AHelperRunsOncePerServer) {
  write_config(R"({"credsStore": "one"})");
  write_helper("one", "echo x >> " + folder_.string() +
                          "/runs; echo '{\"Username\":\"u\",\"Secret\":\"p\"}'");
  CredentialStore store({.docker_config = folder_ / "config.json"});
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(store.find("h", "a"));
  EXPECT_EQ(base::read_file(folder_ / "runs"), "x\n");
}

TEST_F(CredentialStoreTest, ABrokenHelperIsAnError) {
  write_config(R"({"credsStore": "one"})");
  EXPECT_THROW(find("h"), base::Error);  // is not there
  for (const char* script :
       {"exit 3", "echo no json", "printf '\\033[31mred' ; exit 1", "kill -9 $$", "echo '[]'"}) {
    SCOPED_TRACE(script);
    write_helper("one", script);
    try {
      find("h");
      ADD_FAILURE();
    } catch (const base::Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\x1b'), std::string::npos);
    }
  }
}

TEST_F(CredentialStoreTest, AHelpersNameIsNoPath) {
  for (const char* suffix : {"", "../evil", "a/b", "a b", "a\nb"}) {
    EXPECT_THROW(registry::ask_credential_helper(suffix, "h"), base::Error) << suffix;
  }
}

TEST_F(CredentialStoreTest, AnEndlessAnswerEnds) {
  write_helper("one", "exec cat /dev/zero");
  EXPECT_THROW(registry::ask_credential_helper("one", "h"), base::Error);
}

}  // namespace
