// Base64 as docker writes it into config.json and Basic authentication needs it (RFC 4648).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace registry {

std::string encode_base64(std::string_view bytes);
// nullopt where `text` is not base64. Padding may be missing.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace registry
