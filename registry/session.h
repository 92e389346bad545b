// Session: requests to registries as their API wants them: scheme, authorization, redirects,
// retries.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "registry/authorizer.h"
#include "registry/credentials.h"
#include "registry/repository.h"
#include "registry/retrier.h"
#include "registry/transport.h"
#include "registry/trust.h"

namespace registry {

struct SessionOptions {
  std::vector<std::string> insecure_registries;
  std::filesystem::path docker_config;
  AskCredentials ask_credentials;
  TransportOptions transport;
  RetryOptions retry;
};

// A request below a registry's address.
struct ApiRequest {
  Method method = Method::kGet;
  std::string target;                // "/v2/library/alpine/manifests/latest"
  std::vector<std::string> headers;  // "Name: value"
  std::size_t body_limit = 4U << 20U;
};

// Thread-safe.
class Session {
 public:
  explicit Session(SessionOptions options);

  // One attempt; a refusal for lack of authorization is answered within it. An HTTP error status
  // or a broken connection is a result. Throws what the receiver throws, where credentials or
  // tokens can't be had, and when cancelled.
  Response attempt(const Repository& repository, const ApiRequest& request, BodyReceiver* receiver);

  // Attempts until one succeeds or is final, for answers that are held in memory.
  Response send(const Repository& repository, const ApiRequest& request);

  Retrier& retrier() { return retrier_; }
  void cancel() noexcept { cancellation_.cancel(); }

  // What registries said in Warning headers since the last call, each text once (distribution-spec,
  // Warnings). Fit for a terminal.
  std::vector<std::string> take_warnings();

 private:
  std::vector<Url> find_endpoints(const std::string& api_host);
  void learn_endpoint(const std::string& api_host, const Response& response, const Url& endpoint);
  Response attempt_at(const Url& endpoint, const Repository& repository, const ApiRequest& request,
                      BodyReceiver* receiver);
  void collect_warnings(const Response& response);

  Cancellation cancellation_;
  InsecureHosts insecure_;
  CredentialStore credentials_;
  Transport transport_;
  Retrier retrier_;
  Authorizer authorizer_;

  std::mutex mutex_;
  std::map<std::string, Url> endpoints_;  // by API host: with the scheme that worked
  std::set<std::string> known_warnings_;
  std::vector<std::string> new_warnings_;
};

}  // namespace registry
