// Url: an http or https address, taken apart by libcurl so that what we check is what it contacts.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace registry {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case; IPv6 without brackets; IPv4 in dotted decimals
  std::uint16_t port = 0;
  std::string target;  // path and query: "/v2/?a=b"

  // Absolute, http or https, without user name and password, fragment dropped. Throws kInvalid.
  static Url parse(std::string_view text);
  // What a Location header of an answer from this address means (RFC 3986, section 5). Throws
  // kInvalid.
  Url resolve(std::string_view location) const;

  bool is_https() const { return scheme == "https"; }
  std::string authority() const;  // "host:port" as a person writes it: no default port
  std::string str() const;

  friend bool operator==(const Url&, const Url&) = default;
};

// Credentials belong to an origin: scheme, host and port (distribution-spec, API).
bool is_same_origin(const Url& left, const Url& right);

// RFC 3986 unreserved characters stay, all others become %XX.
std::string percent_encode(std::string_view text);

using QueryParameters = std::vector<std::pair<std::string, std::string>>;
// "a=1&b=2", names and values encoded.
std::string render_query(const QueryParameters& parameters);
// The address with more query parameters behind those that it has.
Url with_query(Url url, const QueryParameters& parameters);

}  // namespace registry
