#include "registry/authorizer.h"

#include <ctime>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/trace.h"
#include "registry/challenge.h"
#include "registry/failure.h"
#include "registry/redirect.h"

namespace registry {
namespace {

constexpr std::string_view kBearer = "Bearer ";

std::string origin_of(const Url& url) { return url.scheme + "://" + url.authority(); }

// What we want a token for, as far as we know before the registry says it.
std::vector<std::string> wanted_scopes(const AuthorizationSubject& subject) {
  std::vector<std::string> scopes = subject.scopes;
  if (!subject.repository.path.empty()) {
    scopes.push_back("repository:" + subject.repository.path + ":pull");
  }
  return merge_scopes(scopes);
}

std::string key_of(const Url& registry, const TokenServer& server,
                   const std::vector<std::string>& scopes) {
  std::string key = origin_of(registry) + "\n" + server.realm.str() + "\n" + server.service;
  for (const std::string& scope : scopes) key += "\n" + scope;
  return key;
}

TokenServer parse_server(const Challenge& challenge, const Url& registry,
                         const InsecureHosts& insecure) {
  return base::while_doing("token server of " + registry.authority(), [&] {
    TokenServer server{.realm = Url::parse(challenge.parameter("realm")),
                       .service = challenge.parameter("service")};
    const std::string reason = why_not_a_realm(registry, server.realm, insecure);
    if (!reason.empty()) {
      throw base::Error(base::ErrorKind::kInvalid,
                        base::printable(origin_of(server.realm)) + " is refused: " + reason);
    }
    return server;
  });
}

}  // namespace

Authorizer::Authorizer(Transport& transport, Retrier& retrier, CredentialStore& credentials,
                       const InsecureHosts& insecure)
    : transport_(transport), retrier_(retrier), credentials_(credentials), insecure_(insecure) {}

AuthorizationAttempt Authorizer::start(const AuthorizationSubject& subject, const Url& origin) {
  const Repository& repository = subject.repository;
  Habit habit;
  {
    const std::lock_guard lock(mutex_);
    const auto found = habits_.find(origin_of(origin));
    if (found == habits_.end()) return {};
    habit = found->second;
  }
  const auto credentials = credentials_.find(repository.domain, repository.path);
  if (habit.scheme == Scheme::kBasic) {
    const bool can = credentials && credentials->has_password();
    return {.header = can ? render_basic(*credentials) : std::string(), .tried = {}};
  }
  if (credentials && !credentials->registry_token.empty()) {
    return {.header = std::string(kBearer) + credentials->registry_token, .tried = {}};
  }
  const auto wanted = wanted_scopes(subject);
  const auto known = habit.scopes.find(join_scopes(wanted));
  const auto& scopes = known != habit.scopes.end() ? known->second : wanted;
  return {.header = std::string(kBearer) + obtain_token(subject, origin, habit.server, scopes, {}),
          .tried = {}};
}

bool Authorizer::answer(const AuthorizationSubject& subject, const Response& refusal,
                        AuthorizationAttempt& attempt) {
  const Repository& repository = subject.repository;
  const auto challenges = parse_challenges(refusal.headers.find_all("www-authenticate"));
  const Challenge* challenge = find_best(challenges);
  if (challenge == nullptr) return false;
  const bool is_basic = challenge->scheme == "basic";
  if (refusal.status == 403 && challenge->parameter("error") != "insufficient_scope") return false;

  const auto credentials = credentials_.find(repository.domain, repository.path);
  Habit habit{.scheme = is_basic ? Scheme::kBasic : Scheme::kBearer, .server = {}, .scopes = {}};
  std::string key = "credentials";
  std::string header;
  if (is_basic) {
    if (!credentials || !credentials->has_password()) {
      throw base::Error(base::ErrorKind::kUnauthorized, "no basic auth credentials");
    }
    header = render_basic(*credentials);
  } else if (credentials && !credentials->registry_token.empty()) {
    header = std::string(kBearer) + credentials->registry_token;
  } else {
    habit.server = parse_server(*challenge, refusal.url, insecure_);
    const std::vector<std::string> wanted = wanted_scopes(subject);
    // The registry knows best what it wants; what we want beside that is asked for at once.
    std::vector<std::string> scopes = split_scopes(challenge->parameter("scope"));
    const auto& more = scopes.empty() ? wanted : subject.scopes;
    scopes.insert(scopes.end(), more.begin(), more.end());
    scopes = merge_scopes(scopes);
    key = key_of(refusal.url, habit.server, scopes);
    if (attempt.tried.contains(key)) return false;
    const std::string rejected =
        attempt.header.starts_with(kBearer) ? attempt.header.substr(kBearer.size()) : std::string();
    header =
        std::string(kBearer) + obtain_token(subject, refusal.url, habit.server, scopes, rejected);
    habit.scopes[join_scopes(wanted)] = std::move(scopes);
  }
  if (header == attempt.header || !attempt.tried.insert(key).second) return false;
  attempt.header = std::move(header);
  const std::lock_guard lock(mutex_);
  Habit& stored = habits_[origin_of(refusal.url)];
  if (stored.scheme == habit.scheme && stored.server == habit.server) {
    stored.scopes.merge(habit.scopes);
  } else {
    stored = std::move(habit);
  }
  return true;
}

std::string Authorizer::find_identity_token(const std::string& domain) {
  const std::lock_guard lock(mutex_);
  const auto found = identity_tokens_.find(domain);
  return found != identity_tokens_.end() ? found->second : std::string();
}

std::string Authorizer::obtain_token(const AuthorizationSubject& subject, const Url& registry,
                                     const TokenServer& server,
                                     const std::vector<std::string>& scopes,
                                     const std::string& rejected) {
  return tokens_.obtain(key_of(registry, server, scopes), rejected,
                        [&] { return fetch_token(subject, registry, server, scopes); });
}

Response Authorizer::ask_token_server(Request request, const AuthorizationSubject& subject,
                                      const Url& registry) {
  request.tls = subject.tls;
  request.client_host = registry.host;
  return retrier_.run([&] {
    return exchange_following(transport_, request, nullptr, [&](const Url& next) {
      return why_not_a_realm(registry, next, insecure_);
    });
  });
}

Token Authorizer::fetch_token(const AuthorizationSubject& subject, const Url& registry,
                              const TokenServer& server, const std::vector<std::string>& scopes) {
  const base::TraceStep step("registry", "token from " + server.realm.authority());
  const Repository& repository = subject.repository;
  auto credentials = credentials_.find(repository.domain, repository.path);
  if (const std::string newer = find_identity_token(repository.domain);
      credentials && !credentials->identity_token.empty() && !newer.empty()) {
    credentials->identity_token = newer;
  }
  // Only what asks for the registry as a whole, a login, wants a token to be kept.
  const auto lifetime = repository.path.empty() ? TokenUse::kLogin : TokenUse::kRequest;
  const std::vector<Request> ways = render_token_requests(server, scopes, credentials, lifetime);
  Response response;
  for (const Request& way : ways) {
    response = ask_token_server(way, subject, registry);
    if (!is_unsupported_way(way.method, response)) break;
  }
  return base::while_doing("token server " + server.realm.authority(), [&] {
    if (!response.is_success()) throw_failure(response);
    Token token = parse_token(response.body, std::time(nullptr));
    if (credentials && !token.refresh_token.empty()) {
      const std::lock_guard lock(mutex_);
      identity_tokens_[repository.domain] = token.refresh_token;
    }
    return token;
  });
}

}  // namespace registry
