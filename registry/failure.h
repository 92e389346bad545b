// Failure texts: what a registry's refusal or a broken connection becomes in an error.
#pragma once

#include <string>

#include "base/error.h"
#include "registry/http.h"

namespace registry {

// The `errors` of a registry's JSON (distribution-spec, Error Codes) as docker words them: "denied:
// requested access to the resource is denied"; else the status. Fit for a terminal.
std::string describe(const Response& response);

// 401 and 403: kUnauthorized; 404: kNotFound; other 4xx: kInvalid; what another try may help
// against: kUnavailable.
base::ErrorKind kind_of(const Response& response);

// The error code of a registry's JSON, such as "NAME_UNKNOWN"; empty where there is none.
std::string find_error_code(const Response& response);

[[noreturn]] void throw_failure(const Response& response);

}  // namespace registry
