// CredentialStore: who we are at a registry, from docker's config.json and its credential helpers.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace registry {

struct Credentials {
  std::string username, password;
  std::string identity_token;  // a refresh token for the token server; never sent as a password
  std::string registry_token;  // a bearer token that is ready to be used

  bool has_password() const { return !username.empty(); }
};

// Somebody else's answer to CredentialStore::find().
using AskCredentials =
    std::function<std::optional<Credentials>(const std::string& domain, const std::string& path)>;

// The auths, credHelpers and credsStore of a config.json.
struct CredentialConfig {
  std::map<std::string, Credentials> auths;         // by key as written
  std::map<std::string, std::string> cred_helpers;  // host to suffix
  std::string creds_store;                          // suffix; empty: none

  // Throws kInvalid. Entries of unknown content are left out rather than refused: other programs
  // write here, too.
  static CredentialConfig parse(std::string_view json);
};

// The entry of `auths` for a registry: keys may carry a scheme and a version path
// ("https://index.docker.io/v1/"), or a namespace ("host:5000/team"), of which the longest that
// fits `path` wins. Null where there is none.
const Credentials* find_auth(const CredentialConfig& config, const std::string& domain,
                             const std::string& path);

// The key under which docker keeps a registry's credentials: "https://index.docker.io/v1/" for
// docker.io, else the domain.
std::string server_key(const std::string& domain);

// Thread-safe. Files are read at the first question; a helper, which may ask the user something, is
// run once per registry.
class CredentialStore {
 public:
  // Empty: $DOCKER_AUTH_CONFIG (the content of a config.json), then the file that docker reads.
  // With `ask`: no file and no helper, but what that answers.
  explicit CredentialStore(std::filesystem::path config_file, AskCredentials ask = {});

  // Whether there is anything to be read at all.
  bool has_sources();

  // nullopt: anonymous. Throws where the file can't be read or a helper fails.
  std::optional<Credentials> find(const std::string& domain, const std::string& path);

 private:
  void load();
  std::optional<Credentials> find_with_helper(const std::string& suffix, const std::string& domain);

  std::mutex mutex_;
  AskCredentials ask_;
  std::map<std::string, std::optional<Credentials>> asked_;  // by repository
  std::filesystem::path file_;
  bool use_environment_ = false;
  bool is_loaded_ = false;
  std::vector<CredentialConfig> configs_;  // the first that knows the registry decides
  std::map<std::string, std::optional<Credentials>> helper_answers_;  // by suffix and server
};

}  // namespace registry
