#include "oci/digest.h"

#include <algorithm>

#include "base/error.h"
#include "base/text.h"

namespace oci {
namespace {

constexpr std::string_view kPrefix = "sha256:";
constexpr std::size_t kHexDigits = 64;

bool is_lower_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

bool is_sha256(std::string_view text) {
  if (text.size() != kPrefix.size() + kHexDigits || !text.starts_with(kPrefix)) return false;
  return std::all_of(text.begin() + kPrefix.size(), text.end(), is_lower_hex);
}

void throw_invalid_digest(std::string_view text) {
  throw base::Error(base::ErrorKind::kInvalid,
                    "invalid digest \"" + base::printable(text, 100) +
                        "\": must be sha256: and 64 lower-case hexadecimal digits");
}

}  // namespace oci
