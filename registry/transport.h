// Transport: one HTTP exchange with one host, by libcurl; connections are kept for the next one.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "registry/cancellation.h"
#include "registry/http.h"
#include "registry/trust.h"

namespace registry {

struct TransportOptions {
  std::string user_agent;
  std::filesystem::path ca_file;  // empty: $SSL_CERT_FILE, else the system's
  int connect_timeout_ms = 10'000;
  int stall_timeout_s = 30;  // below 1 KiB/s for so long
};

// Thread-safe: each exchange borrows a libcurl handle of its own; DNS answers and TLS sessions are
// shared. Redirects are not followed, nothing is decoded, no credentials are added. Proxies come
// from the environment, as libcurl and Go read it; loopback is never proxied.
class Transport {
 public:
  // `insecure` and `cancellation` must live longer than this.
  Transport(TransportOptions options, const InsecureHosts& insecure,
            const Cancellation& cancellation);
  ~Transport();

  // `receiver` may be null. Throws what the receiver throws, and when cancelled.
  Response exchange(const Request& request, BodyReceiver* receiver);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace registry
