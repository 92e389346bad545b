// Authorizer: the Authorization header that a registry wants: none, Basic, or a Bearer token.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "registry/credentials.h"
#include "registry/endpoint.h"
#include "registry/repository.h"
#include "registry/retrier.h"
#include "registry/token.h"
#include "registry/transport.h"
#include "registry/trust.h"

namespace registry {

// What one request has tried so far.
struct AuthorizationAttempt {
  std::string header;           // of the Authorization sent; empty: none
  std::set<std::string> tried;  // keys of what was obtained for this request
};

// For what a request is to be authorized.
struct AuthorizationSubject {
  Repository repository;  // at the server that is asked; an empty path: the registry as a whole
  const TlsSettings* tls = nullptr;  // of that server, whose token server is trusted alike
  std::vector<std::string> scopes;   // beside pulling from the repository
};

// Thread-safe. Remembers by origin what was asked for, so that only the first request is refused.
class Authorizer {
 public:
  // All must live longer than this.
  Authorizer(Transport& transport, Retrier& retrier, CredentialStore& credentials,
             const InsecureHosts& insecure);

  // What to send before being asked.
  AuthorizationAttempt start(const AuthorizationSubject& subject, const Url& origin);

  // Looks at a refusal (401, or 403 for a missing scope) by the registry itself. True where
  // `attempt` now holds something new to be tried. Throws where a token or credentials can't be
  // had.
  bool answer(const AuthorizationSubject& subject, const Response& refusal,
              AuthorizationAttempt& attempt);

  // What a token server gave us to be used in place of the password; empty: nothing.
  std::string find_identity_token(const std::string& domain);

 private:
  enum class Scheme { kNone, kBasic, kBearer };
  struct Habit {
    Scheme scheme = Scheme::kNone;
    TokenServer server;
    std::map<std::string, std::vector<std::string>> scopes;  // by what was wanted
  };

  std::string obtain_token(const AuthorizationSubject& subject, const Url& registry,
                           const TokenServer& server, const std::vector<std::string>& scopes,
                           const std::string& rejected);
  Token fetch_token(const AuthorizationSubject& subject, const Url& registry,
                    const TokenServer& server, const std::vector<std::string>& scopes);
  Response ask_token_server(Request request, const AuthorizationSubject& subject,
                            const Url& registry);

  Transport& transport_;
  Retrier& retrier_;
  CredentialStore& credentials_;
  const InsecureHosts& insecure_;
  TokenCache tokens_;
  std::mutex mutex_;
  std::map<std::string, Habit> habits_;                 // by origin
  std::map<std::string, std::string> identity_tokens_;  // by domain
};

}  // namespace registry
