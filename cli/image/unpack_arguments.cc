#include "cli/image/unpack_arguments.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"

namespace cli {
namespace {

constexpr char kDefaultConfig[] = "/etc/sampan/config.json";

struct Limit {
  const char* name;
  std::uint64_t* value;
  const char* help;
};

std::vector<Limit> limits_of(engine::PullOptions& options) {
  storage::UnpackLimits& limits = options.limits;
  return {{"layer-size", &limits.layer_bytes, "Bytes of an inflated layer"},
          {"layer-ratio", &limits.ratio, "Inflated to compressed size, above 1 GiB"},
          {"layer-entries", &limits.entries, "Entries of a layer"},
          {"path-depth", &limits.path_depth, "Components of a path in a layer"},
          {"header-size", &limits.header_bytes, "Bytes of one entry's headers"},
          {"manifest-size", &options.manifest_bytes, "Bytes of a manifest"}};
}

void apply_limits(const nlohmann::json& document, engine::PullOptions& options) {
  const std::vector<Limit> limits = limits_of(options);
  for (const auto& [key, value] : document.items()) {
    const auto limit = std::find_if(limits.begin(), limits.end(),
                                    [&, &name = key](const Limit& l) { return l.name == name; });
    if (limit == limits.end()) {
      throw base::Error(base::ErrorKind::kInvalid, "unknown key \"limits." + key + "\"");
    }
    if (!value.is_number_unsigned() || value.get<std::uint64_t>() == 0) {
      throw base::Error(base::ErrorKind::kInvalid, "limits." + key + ": not a positive number");
    }
    *limit->value = value.get<std::uint64_t>();
  }
}

void apply_document(const std::string& content, engine::PullOptions& options) {
  const auto document = nlohmann::json::parse(content);
  if (const auto limits = document.find("limits"); limits != document.end()) {
    apply_limits(*limits, options);
  }
  if (const auto keep = document.find("keep-blobs"); keep != document.end()) {
    options.keep_blobs = keep->get<bool>();
  }
  if (const auto allow = document.find("allow-foreign-urls"); allow != document.end()) {
    options.allow_foreign_urls = allow->get<bool>();
  }
}

}  // namespace

void apply_unpack_config(engine::PullOptions& options) {
  const char* const chosen = std::getenv("SAMPAN_CONFIG");
  const std::string file = chosen == nullptr || *chosen == '\0' ? kDefaultConfig : chosen;
  const auto content = base::find_file(file, 1U << 20U);
  if (!content) return;
  base::while_doing(file, [&] {
    try {
      apply_document(*content, options);
    } catch (const nlohmann::json::exception& error) {
      throw base::Error(base::ErrorKind::kInvalid, error.what());
    }
  });
}

engine::LayerFileOptions configured_layer_files() {
  engine::PullOptions options;
  apply_unpack_config(options);
  return {.parallel = std::max(2U, std::thread::hardware_concurrency()),
          .limits = options.limits,
          .keep_blobs = options.keep_blobs};
}

void define_unpack_arguments(CLI::App& app, engine::PullOptions& options) {
  for (const Limit& limit : limits_of(options)) {
    app.add_option(std::string("--max-") + limit.name, *limit.value, limit.help)
        ->check(CLI::PositiveNumber);
  }
  app.add_flag("--allow-foreign-urls", options.allow_foreign_urls,
               "Fetch foreign layers from the addresses in the manifest");
  app.add_flag("!--no-keep-blobs", options.keep_blobs, "Keep no blob once it is a layer");
}

}  // namespace cli
