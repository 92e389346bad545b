#include "cli/config.h"

#include <algorithm>
#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/time.h"

namespace cli {
namespace {

constexpr char kDefaultPath[] = "/etc/sampan/config.json";

engine::CacheBudget parse_cache(const nlohmann::json& cache) {
  engine::CacheBudget budget;
  for (const auto& [key, value] : cache.items()) {
    if (key == "max-size") {
      const std::int64_t bytes = base::parse_size_binary(value.get<std::string>());
      budget.max_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0));
    } else if (key == "max-age") {
      budget.max_age = base::parse_duration(value.get<std::string>());
    } else if (key == "remove-tagged-unused") {
      budget.remove_tagged_unused = value.get<bool>();
    } else {
      throw base::Error(base::ErrorKind::kInvalid, "unknown key \"cache." + key + "\"");
    }
  }
  return budget;
}

void apply_key(const std::string& key, const nlohmann::json& value, engine::Config& config) {
  if (key == "data-root") {
    config.root = value.get<std::string>();
  } else if (key == "exec-root") {
    config.state = value.get<std::string>();
  } else if (key == "cgroup-parent") {
    config.cgroup_parent = value.get<std::string>();
  } else if (key == "bip") {
    config.bridge_subnet = value.get<std::string>();
  } else if (key == "obey-host-filter") {
    config.obey_host_filter = value.get<bool>();
  } else if (key == "insecure-registries") {
    config.insecure_registries = value.get<std::vector<std::string>>();
  } else if (key == "keep-blobs" || key == "limits" || key == "allow-foreign-urls") {
    // sampan-image's, which reads them where it needs them (cli/image/unpack_arguments.h).
  } else if (key == "cache") {
    static_cast<void>(parse_cache(value));  // whoever needs it calls find_cache_budget()
  } else {
    throw base::Error(base::ErrorKind::kInvalid, "unknown key \"" + key + "\"");
  }
}

// The document, each of whose members `apply` gets; nothing where the default file is missing.
template <class Apply>
void read_config_file(const std::string& path, Apply apply) {
  const std::string file = path.empty() ? kDefaultPath : path;
  const auto content = base::find_file(file, 1U << 20U);
  if (!content) {
    if (path.empty()) return;
    throw base::Error(base::ErrorKind::kNotFound, file + ": no such file or directory");
  }
  if (!path.empty()) setenv("SAMPAN_CONFIG", path.c_str(), 1);  // for the programs that we start
  try {
    const auto document = nlohmann::json::parse(*content);
    for (const auto& [key, value] : document.items()) apply(key, value);
  } catch (const nlohmann::json::exception& error) {
    throw base::Error(base::ErrorKind::kInvalid, file + ": " + error.what());
  } catch (const base::Error& error) {
    throw base::with_context(file, error);
  }
}

}  // namespace

void apply_config_file(const std::string& path, engine::Config& config) {
  read_config_file(path, [&](const std::string& key, const nlohmann::json& value) {
    apply_key(key, value, config);
  });
}

engine::CacheBudget find_cache_budget(const std::string& path) {
  engine::CacheBudget budget;
  read_config_file(path, [&](const std::string& key, const nlohmann::json& value) {
    if (key == "cache") budget = parse_cache(value);
  });
  return budget;
}

}  // namespace cli
