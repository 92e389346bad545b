#include "oci/transport.h"

#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace oci {
namespace {

constexpr std::pair<std::string_view, Transport::Kind> kWords[] = {
    {"docker-archive:", Transport::Kind::kDockerArchive},
    {"oci-archive:", Transport::Kind::kOciArchive},
    {"oci:", Transport::Kind::kOciLayout},
    {"dir:", Transport::Kind::kDirectory},
};

}  // namespace

std::optional<Transport> find_transport(std::string_view text) {
  for (const auto& [word, kind] : kWords) {
    if (!text.starts_with(word)) continue;
    const std::string_view rest = text.substr(word.size());
    const std::size_t colon =
        kind == Transport::Kind::kDirectory ? std::string_view::npos : rest.find(':');
    Transport transport{.kind = kind, .path = std::string(rest.substr(0, colon)), .reference = {}};
    if (colon != std::string_view::npos) transport.reference = rest.substr(colon + 1);
    if (transport.path.empty() || text.find('\0') != std::string_view::npos) {
      throw base::Error(
          base::ErrorKind::kInvalid,
          "\"" + base::printable(text) + "\": a path must follow " + std::string(word));
    }
    return transport;
  }
  return std::nullopt;
}

}  // namespace oci
