#include "storage/unpack/layer_path.h"

#include <algorithm>

#include "base/error.h"

namespace storage {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kOpaqueName = ".wh..wh..opq";
constexpr std::string_view kAufsPrefix = ".wh..wh.";
constexpr std::string_view kAufsLinks = ".wh..wh.plnk";

[[noreturn]] void throw_invalid(const char* text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

}  // namespace

LayerPath parse_layer_path(std::string_view text) {
  LayerPath path;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('/', at), text.size());
    const std::string_view component = text.substr(at, end - at);
    at = end + 1;
    if (component.empty() || component == ".") continue;
    if (component == "..") throw_invalid("\"..\" in a path");
    if (component.size() > kMaxComponentBytes) throw_invalid("name longer than 255 bytes");
    if (path.size() == kMaxPathDepth) throw_invalid("more than 512 levels deep");
    path.push_back(component);
  }
  return path;
}

std::string join(const LayerPath& path) {
  std::string text;
  for (const std::string_view component : path) {
    if (!text.empty()) text += '/';
    text += component;
  }
  return text;
}

EntryName classify_name(std::string_view component) {
  if (!component.starts_with(kWhiteoutPrefix)) return {EntryName::Kind::kPlain, component};
  if (component == kOpaqueName) return {EntryName::Kind::kOpaque, {}};
  if (component.starts_with(kAufsPrefix)) return {EntryName::Kind::kIgnored, {}};
  const std::string_view name = component.substr(kWhiteoutPrefix.size());
  if (name.empty() || name == "." || name == "..") {
    throw_invalid("whiteout of no valid name");
  }
  return {EntryName::Kind::kWhiteout, name};
}

bool is_aufs_link(const LayerPath& path) { return path.size() == 2 && path[0] == kAufsLinks; }

bool is_below_whiteout_name(const LayerPath& path) {
  return std::any_of(path.begin(), path.empty() ? path.end() : path.end() - 1,
                     [](std::string_view part) { return part.starts_with(kWhiteoutPrefix); });
}

}  // namespace storage
