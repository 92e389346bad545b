#include "cli/manifest_view.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace cli {
namespace {

using Json = nlohmann::ordered_json;

Json parse(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) throw base::Error(base::ErrorKind::kInvalid, "the manifest is no JSON");
  return json;
}

std::string indent(const Json& json) {
  return json.dump(1, '\t', false, Json::error_handler_t::replace) + "\n";
}

// docker's ImageManifest, whose last member is named after the manifest's kind.
Json describe(const nlohmann::json& manifest) {
  const std::string type = manifest.at("mediaType");
  Json descriptor = {{"mediaType", type},
                     {"digest", manifest.at("digest").get<std::string>()},
                     {"size", manifest.at("size").get<std::uint64_t>()}};
  if (manifest.contains("platform")) descriptor["platform"] = manifest["platform"];
  const bool is_docker = type.starts_with("application/vnd.docker.");
  return {{"Ref", manifest.at("reference").get<std::string>()},
          {"Descriptor", descriptor},
          {is_docker ? "SchemaV2Manifest" : "OCIManifest",
           parse(manifest.at("content").get<std::string>())}};
}

}  // namespace

std::string render_manifests(const nlohmann::json& result, ManifestDetail detail) {
  if (result.contains("index")) return indent(parse(result["index"].get<std::string>()));
  const nlohmann::json& manifests = result.at("manifests");
  if (detail == ManifestDetail::kContent) {
    return indent(parse(manifests.at(0).at("content").get<std::string>()));
  }
  if (manifests.size() == 1) return indent(describe(manifests[0]));
  Json list = Json::array();
  for (const nlohmann::json& manifest : manifests) list.push_back(describe(manifest));
  return indent(list);
}

}  // namespace cli
