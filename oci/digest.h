// Digest: SHA-256 content identities as three types that can't be swapped; a value exists only if
// it was well formed.
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <utility>

namespace oci {

// Whether `text` is exactly "sha256:" and 64 lower-case hexadecimal digits (image-spec,
// descriptor.md).
bool is_sha256(std::string_view text);
[[noreturn]] void throw_invalid_digest(std::string_view text);

template <class Tag>
class Sha256 {
 public:
  // The only ways in; throw kInvalid.
  static Sha256 parse(std::string_view text) {
    if (!is_sha256(text)) throw_invalid_digest(text);
    return Sha256(std::string(text.substr(7)));
  }
  static Sha256 from_hex(std::string_view hex) { return parse("sha256:" + std::string(hex)); }

  std::string str() const { return "sha256:" + hex_; }
  const std::string& hex() const { return hex_; }
  friend auto operator<=>(const Sha256&, const Sha256&) = default;

 private:
  explicit Sha256(std::string hex) : hex_(std::move(hex)) {}
  std::string hex_;
};

using Digest =
    Sha256<struct ServedBlob>;  // what the registry serves: manifests, configs, compressed layers
using DiffId = Sha256<struct UncompressedTar>;    // the same layer, inflated
using ImageId = Sha256<struct ImageConfigBytes>;  // what `images` lists

}  // namespace oci
