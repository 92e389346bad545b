// JSON from outside: parsed once, with limits, duplicate keys refused. For .cc files of rooms that
// read JSON.
#pragma once

#include <cstddef>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace oci {

struct JsonLimits {
  std::size_t bytes = 4U << 20U;
  int depth = 64;
  std::size_t values = 500'000;  // bounds memory: "[{},{},…" becomes 30 times its size
};

// Throws kInvalid with one line that says where. Duplicate keys are refused (I-JSON, RFC 7493
// section 2.3), and so is a NUL character in any string or key.
nlohmann::json parse_json(std::string_view text, const JsonLimits& limits = {});

}  // namespace oci
