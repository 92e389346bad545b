#include "registry/diagnosis.h"

#include <cctype>
#include <system_error>

#include <curl/curl.h>

#include "base/text.h"

namespace registry {
namespace {

// "Connection refused" without the capital, to stand inside a sentence.
std::string errno_text(int number) {
  std::string text = std::generic_category().message(number);
  text.front() = static_cast<char>(std::tolower(static_cast<unsigned char>(text.front())));
  return text;
}

Diagnosis diagnose_connect(const TransferFailure& failure, const Url& url) {
  // Where the sentence of libcurl does not name the host, it was a proxy that failed.
  const bool is_about_host = failure.detail.find(url.host) != std::string::npos;
  return {Failure::kUnconnected,
          "connect to " + url.authority() + ": " +
              (failure.os_errno != 0 && is_about_host ? errno_text(failure.os_errno)
                                                      : base::printable(failure.detail))};
}

Diagnosis diagnose_timeout(const TransferFailure& failure, const Url& url, bool has_tls) {
  const std::string host = url.authority();
  if (!failure.is_connected) return {Failure::kUnconnected, "connect to " + host + ": timed out"};
  if (!has_tls) return {Failure::kUnconnected, "TLS handshake with " + host + ": timed out"};
  // "Operation too slow. Less than 1024 bytes/sec …" or "Operation timed out after …".
  const bool is_stall = failure.detail.find("too slow") != std::string::npos;
  return {Failure::kBroken, host + (is_stall ? ": the transfer stalled" : ": timed out")};
}

}  // namespace

Diagnosis diagnose(const TransferFailure& failure, const Url& url) {
  const std::string host = url.authority();
  const std::string detail = base::printable(failure.detail);
  const bool has_tls = failure.has_tls || !url.is_https();
  switch (failure.code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return {Failure::kUnresolved, "look up " + host + ": no such host"};
    case CURLE_COULDNT_RESOLVE_PROXY:
      return {Failure::kUnresolved, "reach " + host + ": " + detail};
    case CURLE_COULDNT_CONNECT:
      return diagnose_connect(failure, url);
    case CURLE_OPERATION_TIMEDOUT:
      return diagnose_timeout(failure, url, has_tls);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return {Failure::kCertificate, host + ": " + detail};
    default:
      if (!has_tls) return {Failure::kNoTls, host + ": TLS handshake: " + detail};
      return {Failure::kBroken, host + ": " + detail};
  }
}

}  // namespace registry
