#include "cli/config.h"

#include <cstdlib>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace cli {
namespace {

constexpr char kDefaultPath[] = "/etc/sampan/config.json";

void apply_key(const std::string& key, const nlohmann::json& value, engine::Config& config) {
  if (key == "data-root") {
    config.root = value.get<std::string>();
  } else if (key == "exec-root") {
    config.state = value.get<std::string>();
  } else if (key == "cgroup-parent") {
    config.cgroup_parent = value.get<std::string>();
  } else if (key == "bip") {
    config.bridge_subnet = value.get<std::string>();
  } else if (key == "insecure-registries") {
    config.insecure_registries = value.get<std::vector<std::string>>();
  } else if (key == "keep-blobs" || key == "limits") {
    // sampan-image's, which reads them where it needs them (cli/image/unpack_arguments.h).
  } else {
    throw base::Error(base::ErrorKind::kInvalid, "unknown key \"" + key + "\"");
  }
}

}  // namespace

void apply_config_file(const std::string& path, engine::Config& config) {
  const std::string file = path.empty() ? kDefaultPath : path;
  const auto content = base::find_file(file, 1U << 20U);
  if (!content) {
    if (path.empty()) return;
    throw base::Error(base::ErrorKind::kNotFound, file + ": no such file or directory");
  }
  if (!path.empty()) setenv("SAMPAN_CONFIG", path.c_str(), 1);  // for the programs that we start
  try {
    const auto document = nlohmann::json::parse(*content);
    for (const auto& [key, value] : document.items()) apply_key(key, value, config);
  } catch (const nlohmann::json::exception& error) {
    throw base::Error(base::ErrorKind::kInvalid, file + ": " + error.what());
  } catch (const base::Error& error) {
    throw base::with_context(file, error);
  }
}

}  // namespace cli
