// Diagnosis: what libcurl's failure means to us, as a sentence with host and cause.
#pragma once

#include <string>

#include "registry/http.h"

namespace registry {

struct TransferFailure {
  int code = 0;        // CURLcode
  std::string detail;  // libcurl's own words
  int os_errno = 0;    // of the last failed connect(2); 0: none
  bool is_connected = false;
  bool has_tls = false;  // the handshake is done; of no meaning for plain HTTP
};

struct Diagnosis {
  Failure failure = Failure::kNone;
  std::string cause;  // one line, fit for a terminal
};

// Pure.
Diagnosis diagnose(const TransferFailure& failure, const Url& url);

}  // namespace registry
