// Config file: what dockerd's daemon.json says for docker, under docker's key names.
#pragma once

#include <string>

#include "engine/cache_budget.h"
#include "engine/engine.h"

namespace cli {

// /etc/sampan/config.json unless `path` says otherwise; a missing default file is no error. Keys:
// data-root, exec-root, insecure-registries, cgroup-parent, bip, cache; keep-blobs (false: blobs
// are not kept once they are layers) and limits (layer-size, layer-ratio, layer-entries,
// path-depth, header-size, manifest-size: numbers). Throws kInvalid for malformed JSON, unknown
// keys and wrong types.
void apply_config_file(const std::string& path, engine::Config& config);

// "cache": {"max-size": "20GB", "max-age": "720h", "remove-tagged-unused": false} of that file.
engine::CacheBudget find_cache_budget(const std::string& path);

}  // namespace cli
