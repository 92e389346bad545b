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

// The auths, credHelpers and credsStore of a config.json.
struct CredentialConfig {
  std::map<std::string, Credentials> auths;         // by key as written
  std::map<std::string, std::string> cred_helpers;  // host to suffix
  std::string creds_store;                          // suffix; empty: none

  // Throws kInvalid. Entries of unknown content are left out rather than refused: other programs
  // write here, too.
  static CredentialConfig parse(std::string_view json);
  // ~/.dockercfg, in which `auths` is everything.
  static CredentialConfig parse_legacy(std::string_view json);
};

// The entry of `auths` for a registry: keys may carry a scheme and a version path
// ("https://index.docker.io/v1/"), or a namespace ("host:5000/team"), of which the longest that
// fits `path` wins. Null where there is none.
const Credentials* find_auth(const CredentialConfig& config, const std::string& domain,
                             const std::string& path);

// The key under which docker keeps a registry's credentials: "https://index.docker.io/v1/" for
// docker.io, else the domain.
std::string server_key(const std::string& domain);

// The config.json that docker reads and `login` writes: $DOCKER_CONFIG or ~/.docker; empty where
// there is no home.
std::filesystem::path docker_config_file();

// "https://Registry.lan:5000/v2/" as `login` takes it: the domain, "docker.io" for docker's own
// names.
std::string domain_of_server(std::string_view server);

// Whether a key of `auths` is for all of that registry, however it is written.
bool is_key_of_registry(const std::string& key, const std::string& domain);

// Somebody else's answer to CredentialStore::find().
using AskCredentials =
    std::function<std::optional<Credentials>(const std::string& domain, const std::string& path)>;

struct CredentialSource {
  // Empty: $DOCKER_AUTH_CONFIG (the content of a config.json), then the files that docker and
  // podman read: docker's config.json, $REGISTRY_AUTH_FILE, containers' auth.json (of the runtime
  // folder, then of ~/.config), ~/.dockercfg.
  std::filesystem::path docker_config;
  AskCredentials ask;  // in place of all files and helpers
};

// Thread-safe. Files are read at the first question; a helper, which may ask the user something, is
// run once per registry.
class CredentialStore {
 public:
  explicit CredentialStore(CredentialSource source);

  // Whether there is anything to be read at all.
  bool has_sources();

  // nullopt: anonymous. Throws where the file can't be read or a helper fails.
  std::optional<Credentials> find(const std::string& domain, const std::string& path);
  // What find() gives from now on for all of the registry.
  void set(const std::string& domain, Credentials credentials);

 private:
  void load();
  void load_file(const std::filesystem::path& file);
  std::optional<Credentials> find_with_helper(const std::string& suffix, const std::string& domain);

  std::mutex mutex_;
  CredentialSource source_;
  std::map<std::string, std::optional<Credentials>> asked_;  // by repository
  bool is_loaded_ = false;
  std::map<std::string, Credentials> set_;  // by domain
  std::vector<CredentialConfig> configs_;   // the first that knows the registry decides
  std::map<std::string, std::optional<Credentials>> helper_answers_;  // by suffix and server
};

}  // namespace registry
