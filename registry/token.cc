#include "registry/token.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "oci/json_value.h"
#include "registry/base64.h"
#include "registry/challenge.h"

namespace registry {
namespace {

constexpr char kClientId[] = "sampan";
constexpr std::chrono::seconds kShortestLifetime{60};
constexpr std::chrono::seconds kLongestLifetime{24 * 3600};
constexpr std::chrono::seconds kMargin{5};  // a token must outlive the request that carries it

Request render_post(const TokenServer& server, const std::vector<std::string>& scopes,
                    QueryParameters form) {
  Request request{.method = Method::kPost, .url = server.realm};
  form.emplace(form.begin() + 1, "client_id", kClientId);
  if (!server.service.empty()) form.emplace_back("service", server.service);
  if (!scopes.empty()) form.emplace_back("scope", join_scopes(scopes));
  request.form = render_query(form);
  request.headers.emplace_back("Content-Type: application/x-www-form-urlencoded");
  request.body_limit = kMaxTokenAnswerBytes;
  return request;
}

// Seconds since the token was made; 0 where the server does not say or its clock is not ours.
std::chrono::seconds age_of(const std::string& issued_at, std::chrono::seconds lifetime,
                            std::time_t now) {
  if (issued_at.empty()) return std::chrono::seconds(0);
  try {
    const std::chrono::seconds age(now - base::parse_rfc3339(issued_at) / 1'000'000'000);
    return age.count() > 0 && age < lifetime ? age : std::chrono::seconds(0);
  } catch (const base::Error&) {
    return std::chrono::seconds(0);
  }
}

}  // namespace

std::string render_basic(const Credentials& credentials) {
  return "Basic " + encode_base64(credentials.username + ":" + credentials.password);
}

namespace {

Request render_get(const TokenServer& server, const std::vector<std::string>& scopes,
                   const std::optional<Credentials>& credentials, TokenUse use) {
  QueryParameters query;
  if (!server.service.empty()) query.emplace_back("service", server.service);
  for (const std::string& scope : scopes) query.emplace_back("scope", scope);
  Request request{.url = server.realm};
  request.body_limit = kMaxTokenAnswerBytes;
  if (credentials && credentials->has_password()) {
    query.emplace_back("account", credentials->username);
    query.emplace_back("client_id", kClientId);
    if (use == TokenUse::kLogin) query.emplace_back("offline_token", "true");
    request.authorization = render_basic(*credentials);
  }
  request.url = with_query(server.realm, query);
  return request;
}

}  // namespace

std::vector<Request> render_token_requests(const TokenServer& server,
                                           const std::vector<std::string>& scopes,
                                           const std::optional<Credentials>& credentials,
                                           TokenUse use) {
  std::vector<Request> ways;
  const bool has_password =
      credentials && !credentials->password.empty() && credentials->has_password();
  if (credentials && !credentials->identity_token.empty()) {
    ways.push_back(render_post(
        server, scopes,
        {{"grant_type", "refresh_token"}, {"refresh_token", credentials->identity_token}}));
    // Never the token as a password; but there may be one beside it.
    if (has_password) ways.push_back(render_get(server, scopes, credentials, use));
    return ways;
  }
  ways.push_back(render_get(server, scopes, credentials, use));
  if (has_password) {
    QueryParameters form = {{"grant_type", "password"},
                            {"username", credentials->username},
                            {"password", credentials->password}};
    if (use == TokenUse::kLogin) form.emplace_back("access_type", "offline");
    ways.push_back(render_post(server, scopes, std::move(form)));
  }
  return ways;
}

bool is_unsupported_way(Method method, const Response& response) {
  // Whoever a redirect led to does not speak for the token server.
  if (!response.is_complete() || response.is_from_elsewhere) return false;
  switch (response.status) {
    case 400:
    case 401:
      return method == Method::kPost;
    case 404:
    case 405:
    case 501:
      return true;
    default:
      return false;
  }
}

Token parse_token(std::string_view body, std::time_t now) {
  const oci::JsonDocument document(body, {.bytes = kMaxTokenAnswerBytes});
  const oci::JsonValue root = document.root();
  Token token;
  root["token"].read(token.value);
  if (token.value.empty()) root["access_token"].read(token.value);
  if (token.value.empty()) throw base::Error(base::ErrorKind::kInvalid, "no token in the answer");
  // RFC 6750, section 2.1: anything else would not be one header line.
  const bool is_clean = std::all_of(token.value.begin(), token.value.end(),
                                    [](char c) { return c > 0x20 && c < 0x7F; });
  if (!is_clean) throw base::Error(base::ErrorKind::kInvalid, "the token is no header value");
  root["refresh_token"].read(token.refresh_token);
  std::int64_t seconds = 0;
  root["expires_in"].read(seconds);
  const auto lifetime =
      std::clamp(std::chrono::seconds(seconds), kShortestLifetime, kLongestLifetime);
  std::string issued_at;
  root["issued_at"].read(issued_at);
  token.lifetime = std::max(lifetime - age_of(issued_at, lifetime, now), 2 * kMargin);
  return token;
}

TokenCache::TokenCache(std::function<Clock::time_point()> clock) : clock_(std::move(clock)) {}

TokenCache::Slot& TokenCache::slot_of(const std::string& key) {
  const std::lock_guard lock(mutex_);
  std::unique_ptr<Slot>& slot = slots_[key];
  if (!slot) slot = std::make_unique<Slot>();
  return *slot;
}

bool TokenCache::is_valid(const Slot& slot) const {
  return !slot.value.empty() && clock_() + kMargin < slot.expiry;
}

std::string TokenCache::obtain(const std::string& key, const std::string& rejected,
                               const Fetch& fetch) {
  Slot& slot = slot_of(key);
  const std::lock_guard lock(slot.mutex);
  if (is_valid(slot) && slot.value != rejected) return slot.value;
  const Clock::time_point asked = clock_();
  Token token = fetch();
  slot.value = std::move(token.value);
  slot.expiry = asked + token.lifetime;
  return slot.value;
}

std::optional<std::string> TokenCache::find(const std::string& key) {
  Slot& slot = slot_of(key);
  const std::lock_guard lock(slot.mutex);
  return is_valid(slot) ? std::optional(slot.value) : std::nullopt;
}

}  // namespace registry
