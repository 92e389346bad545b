#include "registry/diagnosis.h"

#include <cerrno>

#include <curl/curl.h>
#include <gtest/gtest.h>

namespace {

using registry::diagnose;
using registry::Failure;
using registry::TransferFailure;
using registry::Url;

TEST(Diagnosis, NamesHostAndCause) {
  const Url tls = Url::parse("https://h:5000/v2/");
  const Url plain = Url::parse("http://h/v2/");
  const struct {
    TransferFailure failure;
    const Url& url;
    Failure kind;
    const char* cause;
  } kCases[] = {
      {{.code = CURLE_COULDNT_RESOLVE_HOST},
       tls,
       Failure::kUnresolved,
       "look up h:5000: no such host"},
      {{.code = CURLE_COULDNT_CONNECT,
        .detail = "Failed to connect to h port 5000 after 0 ms",
        .os_errno = ECONNREFUSED},
       tls,
       Failure::kUnconnected,
       "connect to h:5000: connection refused"},
      {{.code = CURLE_COULDNT_CONNECT,
        .detail = "Failed to connect to 10.0.0.1 port 3128",
        .os_errno = ECONNREFUSED},
       Url::parse("https://registry.lan/"),
       Failure::kUnconnected,
       "connect to registry.lan: Failed to connect to 10.0.0.1 port 3128"},
      {{.code = CURLE_SSL_CONNECT_ERROR, .detail = "wrong version number", .is_connected = true},
       tls,
       Failure::kNoTls,
       "h:5000: TLS handshake: wrong version number"},
      {{.code = CURLE_RECV_ERROR, .detail = "reset", .is_connected = true},
       tls,
       Failure::kNoTls,
       "h:5000: TLS handshake: reset"},
      {{.code = CURLE_RECV_ERROR, .detail = "reset", .is_connected = true},
       plain,
       Failure::kBroken,
       "h: reset"},
      {{.code = CURLE_RECV_ERROR, .detail = "re\x1bset", .is_connected = true, .has_tls = true},
       tls,
       Failure::kBroken,
       "h:5000: re\\x1bset"},
      {{.code = CURLE_PEER_FAILED_VERIFICATION, .detail = "self-signed", .is_connected = true},
       tls,
       Failure::kCertificate,
       "h:5000: self-signed"},
      {{.code = CURLE_OPERATION_TIMEDOUT},
       tls,
       Failure::kUnconnected,
       "connect to h:5000: timed out"},
      {{.code = CURLE_OPERATION_TIMEDOUT, .is_connected = true},
       tls,
       Failure::kUnconnected,
       "TLS handshake with h:5000: timed out"},
      {{.code = CURLE_OPERATION_TIMEDOUT, .detail = "Operation too slow.", .is_connected = true},
       plain,
       Failure::kBroken,
       "h: the transfer stalled"},
      {{.code = CURLE_OPERATION_TIMEDOUT, .detail = "Operation timed out", .is_connected = true},
       plain,
       Failure::kBroken,
       "h: timed out"},
  };
  for (const auto& [failure, url, kind, cause] : kCases) {
    SCOPED_TRACE(cause);
    EXPECT_EQ(diagnose(failure, url).failure, kind);
    EXPECT_EQ(diagnose(failure, url).cause, cause);
  }
}

}  // namespace
