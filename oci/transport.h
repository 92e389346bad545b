// Transport: where an image lies that is in no registry: "oci:DIR[:ref]", "docker-archive:FILE" and
// their like (containers-transports(5)).
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace oci {

struct Transport {
  enum class Kind { kDockerArchive, kOciArchive, kOciLayout, kDirectory };
  Kind kind = Kind::kOciLayout;
  std::string path;
  std::string reference;  // which of the images there; empty: the only one
};

// nullopt where `text` begins with none of the known words and a colon: it is a name in a registry.
// Throws kInvalid where no path follows. Paths have no colon, but for those of dir:.
std::optional<Transport> find_transport(std::string_view text);

}  // namespace oci
