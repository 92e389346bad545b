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

std::vector<std::string> pull_scope(const Repository& repository) {
  return {"repository:" + repository.path + ":pull"};
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

AuthorizationAttempt Authorizer::start(const Repository& repository, const Url& origin) {
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
  const auto known = habit.scopes.find(repository.path);
  const auto scopes = known != habit.scopes.end() ? known->second : pull_scope(repository);
  return {
      .header = std::string(kBearer) + obtain_token(repository, origin, habit.server, scopes, {}),
      .tried = {}};
}

bool Authorizer::answer(const Repository& repository, const Response& refusal,
                        AuthorizationAttempt& attempt) {
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
    std::vector<std::string> scopes = split_scopes(challenge->parameter("scope"));
    if (scopes.empty()) scopes = pull_scope(repository);
    key = key_of(refusal.url, habit.server, scopes);
    if (attempt.tried.contains(key)) return false;
    const std::string rejected =
        attempt.header.starts_with(kBearer) ? attempt.header.substr(kBearer.size()) : std::string();
    header = std::string(kBearer) +
             obtain_token(repository, refusal.url, habit.server, scopes, rejected);
    habit.scopes[repository.path] = std::move(scopes);
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

std::string Authorizer::obtain_token(const Repository& repository, const Url& registry,
                                     const TokenServer& server,
                                     const std::vector<std::string>& scopes,
                                     const std::string& rejected) {
  return tokens_.obtain(key_of(registry, server, scopes), rejected,
                        [&] { return fetch_token(repository, registry, server, scopes); });
}

Token Authorizer::fetch_token(const Repository& repository, const Url& registry,
                              const TokenServer& server, const std::vector<std::string>& scopes) {
  const base::TraceStep step("registry", "token from " + server.realm.authority());
  const auto credentials = credentials_.find(repository.domain, repository.path);
  const Request request = render_token_request(server, scopes, credentials);
  const Response response = retrier_.run([&] {
    return exchange_following(transport_, request, nullptr, [&](const Url& next) {
      return why_not_a_realm(registry, next, insecure_);
    });
  });
  return base::while_doing("token server " + server.realm.authority(), [&] {
    if (!response.is_success()) throw_failure(response);
    return parse_token(response.body, std::time(nullptr));
  });
}

}  // namespace registry
