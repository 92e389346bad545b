// Tokens: how a token server is asked (distribution's token and OAuth2 specifications), and a cache
// of its answers.
#pragma once

#include <chrono>
#include <ctime>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/credentials.h"
#include "registry/http.h"

namespace registry {

constexpr std::size_t kMaxTokenAnswerBytes = 1U << 20U;

struct TokenServer {
  Url realm;
  std::string service;  // empty: left out
  friend bool operator==(const TokenServer&, const TokenServer&) = default;
};

// kLogin: a refresh token is wanted, too, to be kept in place of the password.
enum class TokenUse { kRequest, kLogin };

// The ways to ask, best first; the next is for a server that does not know the one before it. With
// an identity token an OAuth2 POST (grant_type refresh_token); else a GET, with Basic
// authentication where there is a password, and then a POST with it (grant_type password). The
// realm may already have a query.
std::vector<Request> render_token_requests(const TokenServer& server,
                                           const std::vector<std::string>& scopes,
                                           const std::optional<Credentials>& credentials,
                                           TokenUse use = TokenUse::kRequest);

// Whether the answer to a request of that method only means that tokens must be asked for in
// another way: servers without it say 404, 405 or 501; without the POST some say 400 or 401, too
// (ACR, Artifactory). A refused password is not tried twice: that locks accounts.
bool is_unsupported_way(Method method, const Response& response);

struct Token {
  std::string value;
  std::chrono::seconds lifetime{60};
  std::string refresh_token{};  // empty: none
};
// `token` or `access_token`; `expires_in` is 60 s where absent, and no less (token specification);
// `issued_at` counts where it is plausible. Throws kInvalid.
Token parse_token(std::string_view body, std::time_t now);

// "Basic …" for an Authorization header.
std::string render_basic(const Credentials& credentials);

// Tokens by registry and scopes. Thread-safe: of several threads that need the same token one
// fetches it, the others wait for it.
class TokenCache {
 public:
  using Clock = std::chrono::steady_clock;
  using Fetch = std::function<Token()>;

  explicit TokenCache(std::function<Clock::time_point()> clock = Clock::now);

  // A valid token other than `rejected`, from the cache or else from `fetch`. A fetch that throws
  // leaves nothing behind.
  std::string obtain(const std::string& key, const std::string& rejected, const Fetch& fetch);
  // nullopt where there is none or it is about to expire.
  std::optional<std::string> find(const std::string& key);

 private:
  struct Slot {
    std::mutex mutex;
    std::string value;
    Clock::time_point expiry;
  };
  Slot& slot_of(const std::string& key);
  bool is_valid(const Slot& slot) const;

  std::function<Clock::time_point()> clock_;
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<Slot>> slots_;
};

}  // namespace registry
