// Request and Response: one HTTP exchange as values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "registry/url.h"

namespace registry {

struct TlsSettings;

enum class Method { kGet, kHead, kPost, kPut, kPatch, kDelete };

// Bytes to send, which may have to be sent again: after a redirect, a refusal, a broken connection.
class BodySource {
 public:
  virtual ~BodySource() = default;
  virtual std::uint64_t size() const = 0;
  // Into `buffer`, at most `size` bytes from `offset` on; 0 only at the end. May throw, which ends
  // the transfer and reaches the caller.
  virtual std::size_t read(std::uint64_t offset, char* buffer, std::size_t size) = 0;
};

struct Request {
  Method method = Method::kGet;
  Url url;
  std::vector<std::string> headers;  // "Name: value"
  std::string authorization;  // the header's value; kept apart because it must not leave its origin
  std::vector<std::string> origin_headers;  // as `headers`; must not leave its origin either
  std::string form;  // body of a POST, application/x-www-form-urlencoded: holds credentials
  BodySource* body = nullptr;          // of a PUT or PATCH; null: empty
  const TlsSettings* tls = nullptr;    // of the server that was configured; null: the system's
  std::string client_host;             // to which the client certificates of `tls` may be shown
  int connect_timeout_ms = 0;          // 0: the transport's
  std::size_t body_limit = 4U << 20U;  // of Response::body; a streamed body has no limit here
};

class Headers {
 public:
  void add(std::string_view name, std::string_view value);
  void clear() { list_.clear(); }
  // The first of that name (in lower case); empty where there is none.
  std::string find(std::string_view name) const;
  std::vector<std::string> find_all(std::string_view name) const;

 private:
  std::vector<std::pair<std::string, std::string>> list_;
};

// Why there is no complete answer. An HTTP error status is an answer.
enum class Failure {
  kNone,
  kUnresolved,   // the host's name
  kUnconnected,  // refused, unreachable, timed out
  kNoTls,  // connected, but the TLS handshake did not succeed: nothing of the request was sent
  kCertificate,  // the peer is not who it should be
  kBroken,       // cut, stalled or malformed while under way
  kTooLarge,     // the body exceeds Request::body_limit
  kRefused,      // by us: a redirect that must not be followed
};

struct Response {
  Failure failure = Failure::kNone;
  std::string cause;               // one line; where there is a failure
  Url url;                         // that gave this answer, after redirects
  bool is_from_elsewhere = false;  // of another origin than the one that was asked
  int status = 0;                  // 0: no answer
  Headers headers;
  std::string body;  // where no receiver took it; of an error status at most 64 KiB

  bool is_complete() const { return failure == Failure::kNone; }
  bool is_success() const { return is_complete() && status >= 200 && status < 300; }
};

// Takes the body of a successful answer (2xx) as it arrives. Both calls return whether to go on;
// stopping is no failure. They may throw, which ends the transfer and reaches the caller.
class BodyReceiver {
 public:
  virtual ~BodyReceiver() = default;
  // Once before the first byte, also where the body is empty. Status and headers are there.
  virtual bool begin(const Response& head) = 0;
  virtual bool write(std::string_view bytes) = 0;
};

}  // namespace registry
