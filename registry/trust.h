// Trust: with which hosts less than verified TLS will do, and to which a registry may send us.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "registry/url.h"

namespace registry {

// How far away an address literal is, the nearer the greater. A name says nothing about that, but
// "localhost" does.
enum class Reach {
  kPublic,    // and every name
  kPrivate,   // RFC 1918, RFC 6598, unique local IPv6
  kLoopback,  // 127.0.0.0/8, ::1, localhost
  kNever,     // link-local (a cloud's metadata service), unspecified, multicast, reserved
};
Reach reach_of(std::string_view host);

// Which registries may be spoken to with plain HTTP or unverified TLS, as docker decides it:
// loopback, and what the user listed. Immutable, so any thread may ask.
class InsecureHosts {
 public:
  // "registry.lan:5000", "registry.lan" (default ports), "10.0.0.0/8", "fd00::/8". Throws kInvalid.
  explicit InsecureHosts(const std::vector<std::string>& entries);

  // Where networks are listed, a name is looked up, as docker does.
  bool contains(const Url& url) const;
  // As above without loopback: by the user's word only.
  bool is_listed(const Url& url) const;

 private:
  struct Network {
    std::string address;  // 4 or 16 bytes
    unsigned bits = 0;
  };
  bool is_in_a_network(const std::string& host) const;

  std::vector<std::string> hosts_;
  std::vector<Network> networks_;
};

// Whether a registry at `registry` may name `realm` as its token server: HTTPS, unless the registry
// itself is spoken to in plain HTTP; and not an address literal nearer to us than the registry's
// own (CVE-2026-12566), unless it is the same host or listed as insecure. The reason where it may
// not, else empty.
std::string why_not_a_realm(const Url& registry, const Url& realm, const InsecureHosts& insecure);

}  // namespace registry
