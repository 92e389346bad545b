// Manifest view: what `manifest inspect` shows, as docker's does.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace cli {

enum class ManifestDetail { kContent, kWithDescriptors };

// `result` is that of "sampan-image manifest": an index of referrers, or manifests. Throws kInvalid
// where a registry's JSON can't be shown.
std::string render_manifests(const nlohmann::json& result, ManifestDetail detail);

}  // namespace cli
