#include "registry/login_store.h"

#include <system_error>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "registry/base64.h"
#include "registry/credential_helper.h"

namespace registry {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kMaxLoginFileBytes = 4U << 20U;

class ConfigFile {
 public:
  explicit ConfigFile(fs::path file) : file_(std::move(file)) {
    if (file_.empty()) file_ = docker_config_file();
    if (file_.empty()) {
      throw base::Error(base::ErrorKind::kNotFound,
                        "no home directory: set DOCKER_CONFIG to keep credentials");
    }
    const auto text = base::find_file(file_, kMaxLoginFileBytes);
    if (text && !text->empty()) read(*text);
  }

  const fs::path& path() const { return file_; }

  // Suffix of the helper that keeps this registry's credentials; empty: none.
  std::string helper_for(const std::string& server) const {
    if (document_.contains("credHelpers") && document_["credHelpers"].is_object() &&
        document_["credHelpers"].contains(server)) {
      return document_["credHelpers"][server].get<std::string>();
    }
    return document_.value("credsStore", "");
  }

  Json& auths() {
    if (!document_["auths"].is_object()) document_["auths"] = Json::object();
    return document_["auths"];
  }

  void write() const {
    fs::path target = file_;
    std::error_code error;
    if (const fs::path real = fs::canonical(file_, error); !error) target = real;
    base::make_dirs(target.parent_path(), 0700);
    base::replace_file(target, document_.dump(1, '\t') + "\n", 0600, base::Durability::kSynced);
  }

 private:
  void read(const std::string& text) {
    try {
      document_ = Json::parse(text);
    } catch (const Json::exception& error) {
      throw base::Error(base::ErrorKind::kInvalid, file_.string() + ": " + error.what());
    }
    if (document_.is_object()) return;
    throw base::Error(base::ErrorKind::kInvalid, file_.string() + ": not an object");
  }

  fs::path file_;
  Json document_ = Json::object();
};

Json render_entry(const Credentials& credentials) {
  const bool is_token = !credentials.identity_token.empty();
  const std::string password = is_token ? std::string() : credentials.password;
  Json entry = Json::object();
  entry["auth"] = encode_base64(credentials.username + ":" + password);
  if (is_token) entry["identitytoken"] = credentials.identity_token;
  return entry;
}

// Entries for the whole registry under any of the keys that mean it.
std::vector<std::string> keys_for(const Json& auths, const std::string& domain) {
  std::vector<std::string> keys;
  for (const auto& [key, entry] : auths.items()) {
    if (is_key_of_registry(key, domain)) keys.push_back(key);
  }
  return keys;
}

}  // namespace

LoginPlace store_login(fs::path file, const std::string& domain, const Credentials& credentials) {
  ConfigFile config(std::move(file));
  const std::string server = server_key(domain);
  const std::string helper = config.helper_for(server);
  if (!helper.empty()) store_with_helper(helper, server, credentials);
  for (const std::string& key : keys_for(config.auths(), domain)) config.auths().erase(key);
  // With a helper the entry only tells that there is something.
  config.auths()[server] = helper.empty() ? render_entry(credentials) : Json::object();
  config.write();
  return {.helper = helper, .file = config.path()};
}

bool erase_login(fs::path file, const std::string& domain) {
  ConfigFile config(std::move(file));
  const std::string server = server_key(domain);
  const std::string helper = config.helper_for(server);
  const std::vector<std::string> keys = keys_for(config.auths(), domain);
  bool was_known = !keys.empty();
  if (!helper.empty()) {
    was_known = was_known || ask_credential_helper(helper, server).has_value();
    erase_with_helper(helper, server);
  }
  for (const std::string& key : keys) config.auths().erase(key);
  if (!keys.empty()) config.write();
  return was_known;
}

}  // namespace registry
