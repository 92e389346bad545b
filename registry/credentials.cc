#include "registry/credentials.h"

#include <cstdlib>
#include <pwd.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "oci/json_value.h"
#include "registry/base64.h"
#include "registry/credential_helper.h"

namespace registry {
namespace {

constexpr char kLegacyFile[] = ".dockercfg";
constexpr char kDockerHubKey[] = "https://index.docker.io/v1/";
constexpr std::size_t kMaxConfigFileBytes = 4U << 20U;

// base64("user:password"); the password may contain colons, and old versions padded it with NULs.
void read_auth(const std::string& encoded, Credentials& credentials) {
  const auto decoded = decode_base64(encoded);
  if (!decoded) return;
  const std::size_t colon = decoded->find(':');
  if (colon == std::string::npos || colon == 0) return;
  credentials.username = decoded->substr(0, colon);
  credentials.password = decoded->substr(colon + 1);
  const std::size_t last = credentials.password.find_last_not_of('\0');
  credentials.password.resize(last == std::string::npos ? 0 : last + 1);
}

Credentials read_entry(const oci::JsonValue& entry) {
  Credentials credentials;
  entry["username"].read(credentials.username);
  entry["password"].read(credentials.password);
  entry["identitytoken"].read(credentials.identity_token);
  entry["registrytoken"].read(credentials.registry_token);
  std::string auth;
  entry["auth"].read(auth);
  if (!auth.empty()) read_auth(auth, credentials);
  return credentials;
}

bool is_empty(const Credentials& credentials) {
  return credentials.username.empty() && credentials.identity_token.empty() &&
         credentials.registry_token.empty();
}

struct Key {
  std::string host;
  std::string name_space;  // "team/project"; empty: the whole registry
};

Key split_key(std::string key) {
  for (const std::string scheme : {"https://", "http://"}) {
    if (key.starts_with(scheme)) key.erase(0, scheme.size());
  }
  const std::size_t slash = key.find('/');
  Key result{.host = key.substr(0, slash), .name_space = {}};
  if (slash != std::string::npos) result.name_space = key.substr(slash + 1);
  while (result.name_space.ends_with('/')) result.name_space.pop_back();
  // Registries' own paths rather than namespaces.
  if (result.name_space == "v1" || result.name_space == "v2") result.name_space.clear();
  if (result.host == "index.docker.io" || result.host == "registry-1.docker.io") {
    result.host = "docker.io";
  }
  return result;
}

std::filesystem::path home_directory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  char buffer[4096];
  passwd entry = {};
  passwd* found = nullptr;
  if (getpwuid_r(getuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    return entry.pw_dir;
  }
  return {};
}

// Where podman keeps what `podman login` was told (containers-auth.json(5)), and what docker did
// before it had folders.
std::vector<std::filesystem::path> other_files() {
  std::vector<std::filesystem::path> files;
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    return value != nullptr ? value : "";
  };
  if (const auto file = variable("REGISTRY_AUTH_FILE"); !file.empty()) files.push_back(file);
  std::filesystem::path runtime = variable("XDG_RUNTIME_DIR");
  if (runtime.empty()) runtime = "/run/containers/" + std::to_string(getuid());
  files.push_back(variable("XDG_RUNTIME_DIR").empty() ? runtime / "auth.json"
                                                      : runtime / "containers/auth.json");
  const std::filesystem::path home = home_directory();
  std::filesystem::path config = variable("XDG_CONFIG_HOME");
  if (config.empty() && home.is_absolute()) config = home / ".config";
  if (config.is_absolute()) files.push_back(config / "containers/auth.json");
  if (home.is_absolute()) files.push_back(home / kLegacyFile);
  return files;
}

}  // namespace

std::filesystem::path docker_config_file() {
  const char* folder = std::getenv("DOCKER_CONFIG");
  if (folder != nullptr && *folder != '\0') return std::filesystem::path(folder) / "config.json";
  const std::filesystem::path home = home_directory();
  return home.is_absolute() ? home / ".docker" / "config.json" : std::filesystem::path();
}

bool is_key_of_registry(const std::string& text, const std::string& domain) {
  const Key key = split_key(text);
  return key.host == domain && key.name_space.empty();
}

std::string domain_of_server(std::string_view server) {
  const std::string host = split_key(std::string(server)).host;
  return host.empty() ? "docker.io" : host;
}

CredentialConfig CredentialConfig::parse(std::string_view json) {
  CredentialConfig config;
  const oci::JsonDocument document(json);
  const oci::JsonValue root = document.root();
  for (const auto& [key, entry] : root["auths"].members()) {
    Credentials credentials = read_entry(entry);
    // `docker login` with a helper leaves empty entries behind.
    if (!is_empty(credentials)) config.auths.emplace(key, std::move(credentials));
  }
  root["credHelpers"].read(config.cred_helpers);
  root["credsStore"].read(config.creds_store);
  return config;
}

CredentialConfig CredentialConfig::parse_legacy(std::string_view json) {
  return parse("{\"auths\":" + std::string(json) + "}");
}

std::string server_key(const std::string& domain) {
  return domain == "docker.io" ? kDockerHubKey : domain;
}

const Credentials* find_auth(const CredentialConfig& config, const std::string& domain,
                             const std::string& path) {
  const Credentials* best = nullptr;
  std::size_t best_rank = 0;
  for (const auto& [text, credentials] : config.auths) {
    const Key key = split_key(text);
    const std::size_t length = key.name_space.size();
    const bool fits = length == 0 || (path + "/").starts_with(key.name_space + "/");
    if (key.host != domain || !fits) continue;
    // Of two that say the same, the one that docker itself writes.
    const std::size_t rank = 1 + 2 * length + (text == server_key(domain) ? 1 : 0);
    if (rank <= best_rank) continue;
    best_rank = rank;
    best = &credentials;
  }
  return best;
}

CredentialStore::CredentialStore(CredentialSource source) : source_(std::move(source)) {}

void CredentialStore::load_file(const std::filesystem::path& file) {
  const auto content = file.empty() ? std::nullopt : base::find_file(file, kMaxConfigFileBytes);
  if (!content || content->empty()) return;
  configs_.push_back(base::while_doing(file.string(), [&] {
    return file.filename() == kLegacyFile ? CredentialConfig::parse_legacy(*content)
                                          : CredentialConfig::parse(*content);
  }));
}

void CredentialStore::load() {
  if (is_loaded_) return;
  if (!source_.docker_config.empty()) {
    load_file(source_.docker_config);
  } else {
    if (const char* text = std::getenv("DOCKER_AUTH_CONFIG"); text != nullptr && *text != '\0') {
      configs_.push_back(
          base::while_doing("DOCKER_AUTH_CONFIG", [&] { return CredentialConfig::parse(text); }));
    }
    load_file(docker_config_file());
    for (const std::filesystem::path& file : other_files()) load_file(file);
  }
  is_loaded_ = true;
}

void CredentialStore::set(const std::string& domain, Credentials credentials) {
  const std::lock_guard lock(mutex_);
  set_[domain] = std::move(credentials);
}

bool CredentialStore::has_sources() {
  const std::lock_guard lock(mutex_);
  load();
  return !configs_.empty();
}

std::optional<Credentials> CredentialStore::find_with_helper(const std::string& suffix,
                                                             const std::string& domain) {
  const std::string server = server_key(domain);
  const std::string key = suffix + "\n" + server;
  if (const auto known = helper_answers_.find(key); known != helper_answers_.end()) {
    return known->second;
  }
  return helper_answers_.emplace(key, ask_credential_helper(suffix, server)).first->second;
}

std::optional<Credentials> CredentialStore::find(const std::string& domain,
                                                 const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (const auto known = set_.find(domain); known != set_.end()) return known->second;
  if (source_.ask) {
    const std::string key = domain + "/" + path;
    if (const auto known = asked_.find(key); known != asked_.end()) return known->second;
    return asked_.emplace(key, source_.ask(domain, path)).first->second;
  }
  load();
  for (const CredentialConfig& config : configs_) {
    const auto helper = config.cred_helpers.find(server_key(domain));
    if (helper != config.cred_helpers.end()) return find_with_helper(helper->second, domain);
    if (!config.creds_store.empty()) {
      if (auto credentials = find_with_helper(config.creds_store, domain)) return credentials;
    }
    if (const Credentials* credentials = find_auth(config, domain, path)) return *credentials;
  }
  return std::nullopt;
}

}  // namespace registry
