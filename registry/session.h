// Session: requests to registries as their API wants them: scheme, authorization, redirects,
// retries.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "registry/authorizer.h"
#include "registry/credentials.h"
#include "registry/endpoint.h"
#include "registry/registry_config.h"
#include "registry/repository.h"
#include "registry/retrier.h"
#include "registry/transport.h"
#include "registry/trust.h"

namespace registry {

struct SessionOptions {
  std::vector<std::string> insecure_registries;
  CredentialSource credentials;
  RegistryConfig config;
  TransportOptions transport;
  RetryOptions retry;
};

// A request to the servers of a registry.
struct ApiRequest {
  Method method = Method::kGet;
  std::string resource;  // below the repository: "manifests/latest"
  Operation operation = Operation::kPull;
  std::vector<std::string> headers;  // "Name: value"
  std::size_t body_limit = 4U << 20U;
  BodySource* body = nullptr;
  std::optional<Url> url;           // in place of `resource`: where an upload goes on
  std::vector<std::string> scopes;  // of tokens, beside pulling from the repository
  // Whether a mirror's answer will do; empty: every success does.
  std::function<bool(const Response&)> check;
};

// Thread-safe.
class Session {
 public:
  explicit Session(SessionOptions options);

  // One attempt at each server that is configured, until one answers well; the last, the registry
  // itself, decides. A refusal for lack of authorization is answered within it. An HTTP error
  // status or a broken connection is a result. Throws what the receiver throws, where credentials
  // or tokens can't be had, and when cancelled.
  Response attempt(const Repository& repository, const ApiRequest& request, BodyReceiver* receiver);

  // One attempt at an address that a manifest gives for a layer: HTTPS, and nothing nearer to us
  // than a public address, but for hosts that the user has listed as insecure. No registry's
  // credentials, headers or certificates go there (CVE-2020-15157).
  Response attempt_foreign(const Url& url, std::vector<std::string> headers,
                           BodyReceiver* receiver);

  // One attempt at an address that the user gave. It leads to nothing nearer to us than itself.
  Response attempt_address(const Url& url, std::vector<std::string> headers,
                           BodyReceiver* receiver);

  // Attempts until one succeeds or is final, for answers that are held in memory.
  Response send(const Repository& repository, const ApiRequest& request);

  Retrier& retrier() { return retrier_; }
  void cancel() noexcept { cancellation_.cancel(); }

  // Where an upload goes on, which the registry at `from` says (a Location header). Throws kInvalid
  // where it must not be followed.
  Url resolve_upload(const Url& from, const std::string& location) const;

  // Whether credentials are good: asks the registry itself for nothing but that (GET /v2/).
  // Remembers what the token server gives in exchange for them.
  struct Login {
    Response response;
    std::string identity_token;  // to be kept in place of the password; empty: none was given
  };
  Login log_in(const Repository& registry, const Credentials& credentials);

  // What registries said in Warning headers since the last call, each text once (distribution-spec,
  // Warnings). Fit for a terminal.
  std::vector<std::string> take_warnings();

 private:
  class WatchedReceiver;

  Response ask(const Endpoint& endpoint, const ApiRequest& request, BodyReceiver* receiver);
  Response ask_mirror(const Endpoint& mirror, const ApiRequest& request, WatchedReceiver* receiver);
  std::vector<Url> find_bases(const Endpoint& endpoint);
  void learn_base(const Endpoint& endpoint, const Response& response, const Url& base);
  Response attempt_at(const Url& base, const Endpoint& endpoint, const ApiRequest& request,
                      BodyReceiver* receiver);
  bool is_down(const Endpoint& mirror);
  void note_failure(const Endpoint& mirror, const Response& response);
  void collect_warnings(const Response& response);

  Cancellation cancellation_;
  InsecureHosts insecure_;
  RegistryConfig config_;
  CredentialStore credentials_;
  Transport transport_;
  Retrier retrier_;
  Authorizer authorizer_;

  std::mutex mutex_;
  std::map<std::string, std::string> schemes_;  // that worked, by host and port
  std::set<std::string> down_;                  // mirrors that nothing was to be had from
  std::set<std::string> known_warnings_;
  std::vector<std::string> new_warnings_;
};

}  // namespace registry
