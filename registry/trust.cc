#include "registry/trust.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <optional>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "registry/ascii.h"

namespace registry {
namespace {

using AddressList = base::CHandle<addrinfo, freeaddrinfo>;

AddressList look_up(const std::string& host, int flags) {
  addrinfo hints = {};
  hints.ai_flags = flags;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0) return nullptr;
  return AddressList(found);
}

std::string bytes_of(const addrinfo& entry) {
  if (entry.ai_family == AF_INET) {
    sockaddr_in address = {};
    std::memcpy(&address, entry.ai_addr, sizeof address);
    return {reinterpret_cast<const char*>(&address.sin_addr), sizeof address.sin_addr};
  }
  if (entry.ai_family == AF_INET6) {
    sockaddr_in6 address = {};
    std::memcpy(&address, entry.ai_addr, sizeof address);
    return {reinterpret_cast<const char*>(&address.sin6_addr), sizeof address.sin6_addr};
  }
  return {};
}

// IPv4 inside IPv6: mapped (RFC 4291, section 2.5.5.2) and NAT64 (RFC 6052).
std::string unwrap(std::string address) {
  using namespace std::string_literals;
  static const std::string kMapped = "\0\0\0\0\0\0\0\0\0\0\xff\xff"s;
  static const std::string kNat64 = "\0\x64\xff\x9b\0\0\0\0\0\0\0\0"s;
  if (address.size() == 16 && (address.starts_with(kMapped) || address.starts_with(kNat64))) {
    return address.substr(12);
  }
  return address;
}

bool is_inside(const std::string& address, const std::string& network, unsigned bits) {
  if (address.size() != network.size()) return false;
  for (std::size_t i = 0; i < address.size() && bits > 0; ++i) {
    const unsigned width = std::min(bits, 8U);
    const unsigned mask = (0xFF00U >> width) & 0xFFU;
    const auto difference = static_cast<unsigned char>(address[i] ^ network[i]);
    if ((difference & mask) != 0) return false;
    bits -= width;
  }
  return true;
}

struct Range {
  const char* network;
  unsigned bits;
  Reach reach;
};
constexpr Range kRanges[] = {
    {"127.0.0.0", 8, Reach::kLoopback},  {"10.0.0.0", 8, Reach::kPrivate},
    {"172.16.0.0", 12, Reach::kPrivate}, {"192.168.0.0", 16, Reach::kPrivate},
    {"100.64.0.0", 10, Reach::kPrivate}, {"0.0.0.0", 8, Reach::kNever},
    {"169.254.0.0", 16, Reach::kNever},  {"224.0.0.0", 3, Reach::kNever},
    {"::1", 128, Reach::kLoopback},      {"::", 128, Reach::kNever},
    {"fc00::", 7, Reach::kPrivate},      {"fe80::", 10, Reach::kNever},
    {"fec0::", 10, Reach::kPrivate},     {"ff00::", 8, Reach::kNever},
};

std::optional<std::string> parse_address(const std::string& text) {
  unsigned char buffer[16];
  if (inet_pton(AF_INET, text.c_str(), buffer) == 1) {
    return std::string(reinterpret_cast<char*>(buffer), 4);
  }
  if (inet_pton(AF_INET6, text.c_str(), buffer) == 1) {
    return std::string(reinterpret_cast<char*>(buffer), 16);
  }
  return std::nullopt;
}

Reach reach_of_address(const std::string& address) {
  for (const Range& range : kRanges) {
    if (is_inside(address, *parse_address(range.network), range.bits)) return range.reach;
  }
  return Reach::kPublic;
}

std::string without_dot(std::string_view host) {
  return std::string(host.ends_with('.') ? host.substr(0, host.size() - 1) : host);
}

[[noreturn]] void throw_bad_entry(const std::string& entry) {
  throw base::Error(base::ErrorKind::kInvalid, "insecure registry \"" + base::printable(entry) +
                                                   "\" is neither host[:port] nor a network");
}

}  // namespace

Reach reach_of(std::string_view text) {
  const std::string host = without_dot(text);
  if (host == "localhost" || host.ends_with(".localhost")) return Reach::kLoopback;
  // getaddrinfo(3) reads every spelling that connecting would: "0x7f.1", "2130706433".
  const AddressList list = look_up(host, AI_NUMERICHOST);
  return list ? reach_of_address(unwrap(bytes_of(*list))) : Reach::kPublic;
}

InsecureHosts::InsecureHosts(const std::vector<std::string>& entries) {
  for (const std::string& entry : entries) {
    const std::size_t slash = entry.find('/');
    if (slash == std::string::npos) {
      try {
        // The scheme is only there to be parsed: an entry without a port keeps none below.
        if (Url::parse("http://" + entry).target != "/") throw_bad_entry(entry);
      } catch (const base::Error&) {
        throw_bad_entry(entry);
      }
      hosts_.push_back(to_lower(entry));
      continue;
    }
    const auto address = parse_address(entry.substr(0, slash));
    unsigned bits = 0;
    const char* end = entry.data() + entry.size();
    const auto [stop, error] = std::from_chars(entry.data() + slash + 1, end, bits);
    if (!address || error != std::errc() || stop != end || bits > address->size() * 8) {
      throw_bad_entry(entry);
    }
    networks_.push_back({.address = *address, .bits = bits});
  }
}

bool InsecureHosts::is_in_a_network(const std::string& host) const {
  if (networks_.empty()) return false;
  const AddressList list = look_up(host, 0);
  for (const addrinfo* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    const std::string address = unwrap(bytes_of(*entry));
    for (const Network& network : networks_) {
      if (is_inside(address, network.address, network.bits)) return true;
    }
  }
  return false;
}

bool InsecureHosts::contains(const Url& url) const {
  return reach_of(url.host) == Reach::kLoopback || is_listed(url);
}

bool InsecureHosts::is_listed(const Url& url) const {
  const bool is_v6 = url.host.find(':') != std::string::npos;
  const std::string host = is_v6 ? "[" + url.host + "]" : url.host;
  const std::string with_port = host + ":" + std::to_string(url.port);
  const bool is_default_port = url.port == 80 || url.port == 443;
  for (const std::string& entry : hosts_) {
    if (entry == with_port || (is_default_port && entry == host)) return true;
  }
  return is_in_a_network(url.host);
}

std::string why_not_a_realm(const Url& registry, const Url& realm, const InsecureHosts& insecure) {
  if (!realm.is_https() && registry.is_https()) return "plain HTTP while the registry uses HTTPS";
  if (realm.host == registry.host || insecure.contains(realm)) {
    // Loopback is insecure by nature, which must not let a registry elsewhere reach ours.
    const bool is_ours = reach_of(realm.host) == Reach::kLoopback;
    if (!is_ours || reach_of(registry.host) == Reach::kLoopback) return {};
  }
  switch (reach_of(realm.host)) {
    case Reach::kPublic:
      return {};
    case Reach::kPrivate:
      if (reach_of(registry.host) != Reach::kPublic) return {};
      return "a private address";
    case Reach::kLoopback:
      return "a loopback address";
    case Reach::kNever:
      return "a link-local or reserved address";
  }
  return {};
}

}  // namespace registry
