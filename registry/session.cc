#include "registry/session.h"

#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/trace.h"
#include "registry/failure.h"
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

// "/v2/library/alpine/manifests/latest", with the registry's name where a mirror wants it.
Url url_of(const Url& base, const Endpoint& endpoint, const ApiRequest& request) {
  Url url = base;
  if (!endpoint.repository.path.empty()) url.target += endpoint.repository.path + "/";
  url.target += request.resource;
  if (endpoint.name_space.empty()) return url;
  return with_query(url, {{"ns", endpoint.name_space}});
}

std::string key_of(const Url& base) { return base.host + ":" + std::to_string(base.port); }

}  // namespace

// Whether the body of an answer has begun to reach a receiver, so that nobody else may be asked.
class Session::WatchedReceiver : public BodyReceiver {
 public:
  explicit WatchedReceiver(BodyReceiver& receiver) : receiver_(receiver) {}
  bool begin(const Response& head) override {
    has_begun_ = true;
    return receiver_.begin(head);
  }
  bool write(std::string_view bytes) override { return receiver_.write(bytes); }
  bool has_begun() const { return has_begun_; }

 private:
  BodyReceiver& receiver_;
  bool has_begun_ = false;
};

Session::Session(SessionOptions options)
    : insecure_(options.insecure_registries),
      config_(std::move(options.config)),
      credentials_(std::move(options.credentials)),
      transport_(std::move(options.transport), insecure_, cancellation_),
      retrier_(options.retry, cancellation_),
      authorizer_(transport_, retrier_, credentials_, insecure_) {}

std::vector<Url> Session::find_bases(const Endpoint& endpoint) {
  Url plain = endpoint.base;
  plain.scheme = "http";
  const bool has_own_port = plain.port != 443;
  if (!has_own_port) plain.port = 80;
  {
    const std::lock_guard lock(mutex_);
    const auto known = schemes_.find(key_of(endpoint.base));
    if (known != schemes_.end()) return {known->second == "http" ? plain : endpoint.base};
  }
  std::vector<Url> bases = {endpoint.base};
  const bool is_insecure = endpoint.tls.skip_verify || insecure_.contains(endpoint.base);
  if (endpoint.may_use_http && endpoint.base.is_https() && is_insecure) bases.push_back(plain);
  return bases;
}

void Session::learn_base(const Endpoint& endpoint, const Response& response, const Url& base) {
  // 400 is what a TLS server says to plain HTTP.
  if (response.status == 0 || (!base.is_https() && response.status == 400)) return;
  const std::lock_guard lock(mutex_);
  if (schemes_.emplace(key_of(endpoint.base), base.scheme).second) {
    base::trace("registry", endpoint.base.authority() + " speaks " + base.scheme);
  }
}

bool Session::is_down(const Endpoint& mirror) {
  const std::lock_guard lock(mutex_);
  return down_.contains(key_of(mirror.base));
}

void Session::note_failure(const Endpoint& mirror, const Response& response) {
  base::trace("registry", "mirror " + mirror.base.authority() + ": " + describe(response));
  const bool is_unreachable = response.failure == Failure::kUnresolved ||
                              response.failure == Failure::kUnconnected ||
                              response.failure == Failure::kCertificate;
  if (!is_unreachable) return;
  const std::lock_guard lock(mutex_);
  down_.insert(key_of(mirror.base));
}

// A mirror that wants credentials that we don't have is a mirror that does not have it.
Response Session::ask_mirror(const Endpoint& mirror, const ApiRequest& request,
                             WatchedReceiver* receiver) {
  try {
    Response response = ask(mirror, request, receiver);
    if (response.is_success() && request.check && !request.check(response)) {
      response.failure = Failure::kRefused;
      response.cause = mirror.base.authority() + ": other content than was asked for";
    }
    if (!response.is_success()) note_failure(mirror, response);
    return response;
  } catch (const base::Error& error) {
    cancellation_.throw_if_cancelled();
    if (receiver != nullptr && receiver->has_begun()) throw;  // the caller's own
    return {.failure = Failure::kRefused, .cause = error.what(), .url = mirror.base};
  }
}

Response Session::attempt(const Repository& repository, const ApiRequest& request,
                          BodyReceiver* receiver) {
  for (const Endpoint& endpoint : plan_endpoints(config_, repository, request.operation)) {
    if (!endpoint.is_mirror) return ask(endpoint, request, receiver);
    const bool is_elsewhere = request.url && !is_same_origin(*request.url, endpoint.base);
    if (is_down(endpoint) || is_elsewhere) continue;
    std::optional<WatchedReceiver> watched;
    if (receiver != nullptr) watched.emplace(*receiver);
    Response response = ask_mirror(endpoint, request, watched ? &*watched : nullptr);
    if (response.is_success() || (watched && watched->has_begun())) return response;
  }
  return {};  // not reached: the last endpoint is no mirror
}

Response Session::ask(const Endpoint& endpoint, const ApiRequest& request, BodyReceiver* receiver) {
  Response response;
  for (const Url& base : find_bases(endpoint)) {
    response = attempt_at(base, endpoint, request, receiver);
    learn_base(endpoint, response, base);
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

Response Session::attempt_at(const Url& base, const Endpoint& endpoint,
                             const ApiRequest& api_request, BodyReceiver* receiver) {
  Request request{.method = api_request.method,
                  .url = api_request.url ? *api_request.url : url_of(base, endpoint, api_request),
                  .headers = api_request.headers,
                  .authorization = {},
                  .origin_headers = endpoint.headers,
                  .form = {},
                  .body = api_request.body,
                  .tls = &endpoint.tls,
                  .client_host = base.host,
                  .connect_timeout_ms = endpoint.connect_timeout_ms,
                  .body_limit = api_request.body_limit};
  if (!is_same_origin(request.url, base)) {
    // An upload may go on at another server, which gets nothing that is the registry's.
    request.origin_headers.clear();
    Response response = exchange_following(transport_, request, receiver);
    response.is_from_elsewhere = true;
    return response;
  }
  const AuthorizationSubject subject{
      .repository = endpoint.repository, .tls = &endpoint.tls, .scopes = api_request.scopes};
  AuthorizationAttempt authorization = authorizer_.start(subject, base);
  for (int round = 0;; ++round) {
    request.authorization = authorization.header;
    Response response = exchange_following(transport_, request, receiver);
    if (!is_refused_for_authorization(response) || round == kMaxAuthorizationRounds ||
        !authorizer_.answer(subject, response, authorization)) {
      return response;
    }
  }
}

Response Session::attempt_foreign(const Url& url, std::vector<std::string> headers,
                                  BodyReceiver* receiver) {
  const auto check = [this](const Url& next) -> std::string {
    if (insecure_.is_listed(next)) return {};
    if (!next.is_https()) return "no https";
    return reach_of(next.host) == Reach::kPublic ? "" : "no public address";
  };
  if (const std::string reason = check(url); !reason.empty()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      base::printable(url.str()) + " is not fetched: " + reason);
  }
  Request request;
  request.url = url;
  request.headers = std::move(headers);
  Response response = exchange_following(transport_, std::move(request), receiver, check);
  response.is_from_elsewhere = false;  // it is whom we asked
  return response;
}

Response Session::attempt_address(const Url& url, std::vector<std::string> headers,
                                  BodyReceiver* receiver) {
  const Reach reach = reach_of(url.host);
  const auto check = [&](const Url& next) -> std::string {
    if (reach_of(next.host) <= reach || insecure_.is_listed(next)) return {};
    return "nearer to us than " + url.host;
  };
  Request request;
  request.url = url;
  request.headers = std::move(headers);
  Response response = exchange_following(transport_, std::move(request), receiver, check);
  response.is_from_elsewhere = false;  // it is whom we asked
  return response;
}

Url Session::resolve_upload(const Url& from, const std::string& location) const {
  Url next = from.resolve(location);
  // A registry behind a proxy that ends TLS does not know that it is asked by HTTPS.
  if (from.is_https() && !next.is_https() && next.host == from.host) {
    next.scheme = from.scheme;
    next.port = from.port;
  }
  if (is_same_origin(from, next)) return next;
  const std::string reason = why_not_a_realm(from, next, insecure_);
  if (reason.empty()) return next;
  throw base::Error(base::ErrorKind::kInvalid, from.authority() + ": upload to " + next.scheme +
                                                   "://" + base::printable(next.authority()) +
                                                   " refused: " + reason);
}

Session::Login Session::log_in(const Repository& registry, const Credentials& credentials) {
  credentials_.set(registry.domain, credentials);
  Login login;
  login.response = send(registry, {.resource = {}, .operation = Operation::kPush});
  login.identity_token = authorizer_.find_identity_token(registry.domain);
  return login;
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
