#include "registry/session.h"

#include <utility>

#include "base/text.h"
#include "base/trace.h"
#include "registry/redirect.h"

namespace registry {
namespace {

// One renewal of a stale token, and one token for a scope that the first did not have.
constexpr int kMaxAuthorizationRounds = 2;
constexpr std::size_t kMaxWarnings = 16;
constexpr std::size_t kMaxWarningBytes = 4096;

bool is_refused_for_authorization(const Response& response) {
  // A 401 of a host that a redirect led to is none of our business: its answer must not make us
  // send credentials there, nor spend those of the registry.
  return response.is_complete() && !response.is_from_elsewhere &&
         (response.status == 401 || response.status == 403);
}

// The text of `299 - "text"`; empty where it is something else (distribution-spec, Warnings).
std::string parse_warning(const std::string& header) {
  constexpr std::string_view kPrefix = "299 - \"";
  if (!header.starts_with(kPrefix) || header.size() > kMaxWarningBytes) return {};
  std::string text;
  for (std::size_t i = kPrefix.size(); i < header.size() && header[i] != '"'; ++i) {
    if (header[i] == '\\' && i + 1 < header.size()) ++i;
    text += header[i];
  }
  return base::printable(text, kMaxWarningBytes);
}

}  // namespace

Session::Session(SessionOptions options)
    : insecure_(options.insecure_registries),
      credentials_(std::move(options.docker_config), std::move(options.ask_credentials)),
      transport_(std::move(options.transport), insecure_, cancellation_),
      retrier_(options.retry, cancellation_),
      authorizer_(transport_, retrier_, credentials_, insecure_) {}

std::vector<Url> Session::find_endpoints(const std::string& api_host) {
  {
    const std::lock_guard lock(mutex_);
    const auto known = endpoints_.find(api_host);
    if (known != endpoints_.end()) return {known->second};
  }
  std::vector<Url> endpoints = {Url::parse("https://" + api_host)};
  if (insecure_.contains(endpoints.front())) endpoints.push_back(Url::parse("http://" + api_host));
  return endpoints;
}

void Session::learn_endpoint(const std::string& api_host, const Response& response,
                             const Url& endpoint) {
  // 400 is what a TLS server says to plain HTTP.
  if (response.status == 0 || (!endpoint.is_https() && response.status == 400)) return;
  const std::lock_guard lock(mutex_);
  if (endpoints_.emplace(api_host, endpoint).second) {
    base::trace("registry", api_host + " speaks " + endpoint.scheme);
  }
}

Response Session::attempt(const Repository& repository, const ApiRequest& request,
                          BodyReceiver* receiver) {
  Response response;
  for (const Url& endpoint : find_endpoints(repository.api_host)) {
    response = attempt_at(endpoint, repository, request, receiver);
    learn_endpoint(repository.api_host, response, endpoint);
    // As docker does, plain HTTP is tried where TLS is not spoken or nobody listens, at insecure
    // registries only. Nothing was sent so far, credentials least of all.
    const bool has_no_tls =
        !response.is_from_elsewhere &&
        (response.failure == Failure::kNoTls || response.failure == Failure::kUnconnected);
    if (!has_no_tls) break;
  }
  collect_warnings(response);
  return response;
}

Response Session::attempt_at(const Url& endpoint, const Repository& repository,
                             const ApiRequest& api_request, BodyReceiver* receiver) {
  Request request{.method = api_request.method,
                  .url = endpoint,
                  .headers = api_request.headers,
                  .authorization = {},
                  .form = {},
                  .body_limit = api_request.body_limit};
  request.url.target = api_request.target;
  AuthorizationAttempt authorization = authorizer_.start(repository, endpoint);
  for (int round = 0;; ++round) {
    request.authorization = authorization.header;
    Response response = exchange_following(transport_, request, receiver);
    if (!is_refused_for_authorization(response) || round == kMaxAuthorizationRounds ||
        !authorizer_.answer(repository, response, authorization)) {
      return response;
    }
  }
}

Response Session::send(const Repository& repository, const ApiRequest& request) {
  return retrier_.run([&] { return attempt(repository, request, nullptr); });
}

void Session::collect_warnings(const Response& response) {
  for (const std::string& header : response.headers.find_all("warning")) {
    std::string text = parse_warning(header);
    const std::lock_guard lock(mutex_);
    if (text.empty() || known_warnings_.size() >= kMaxWarnings) continue;
    if (known_warnings_.insert(text).second) new_warnings_.push_back(std::move(text));
  }
}

std::vector<std::string> Session::take_warnings() {
  const std::lock_guard lock(mutex_);
  return std::exchange(new_warnings_, {});
}

}  // namespace registry
