#include <nlohmann/json.hpp>

#include "engine/engine.h"
#include "engine/engine_state.h"
#include "oci/image_config.h"
#include "storage/indexes.h"

namespace engine {
namespace {

using Json = nlohmann::ordered_json;

Json list_or_null(const std::vector<std::string>& list) {
  return list.empty() ? Json(nullptr) : Json(list);
}

Json keys_json(const std::vector<std::string>& keys) {
  Json object = Json::object();
  for (const std::string& key : keys) object[key] = Json::object();
  return object.empty() ? Json(nullptr) : object;
}

Json config_json(const oci::ImageConfig& config) {
  Json json = {{"Hostname", ""},
               {"Domainname", ""},
               {"User", config.user},
               {"ExposedPorts", keys_json(config.exposed_ports)},
               {"Env", list_or_null(config.env)},
               {"Cmd", list_or_null(config.cmd)},
               {"Image", ""},
               {"Volumes", keys_json(config.volumes)},
               {"WorkingDir", config.working_dir},
               {"Entrypoint", list_or_null(config.entrypoint)},
               {"OnBuild", list_or_null(config.on_build)},
               {"Labels", config.labels.empty() ? Json(nullptr) : Json(config.labels)}};
  if (!config.stop_signal.empty()) json["StopSignal"] = config.stop_signal;
  if (!config.shell.empty()) json["Shell"] = config.shell;
  if (config.health_check) {
    json["Healthcheck"] = {{"Test", config.health_check->test},
                           {"Interval", config.health_check->interval},
                           {"Timeout", config.health_check->timeout},
                           {"StartPeriod", config.health_check->start_period},
                           {"Retries", config.health_check->retries}};
  }
  return json;
}

std::string familiar_repository(const storage::ImageName& name) {
  return oci::Reference::parse(name.repository).familiar_repository();
}

}  // namespace

std::optional<std::string> Engine::inspect_image(std::string_view name_or_id,
                                                 std::string_view platform) {
  auto image = state_->store.find_image(name_or_id);
  if (!image) return std::nullopt;
  if (!platform.empty()) {
    image = storage::load_image_for(state_->store, name_or_id, oci::Platform::parse(platform));
  }
  const oci::ImageConfig config = oci::parse_image_config(image->config);
  Json tags = Json::array();
  Json digests = Json::array();
  for (const storage::ImageName& name : state_->store.list_names()) {
    if (name.image != image->id) continue;
    const std::string repository = familiar_repository(name);
    if (!name.tag.empty()) tags.push_back(repository + ":" + name.tag);
    const std::string digest = name.digest ? repository + "@" + name.digest->str() : "";
    if (!digest.empty() && std::find(digests.begin(), digests.end(), digest) == digests.end()) {
      digests.push_back(digest);
    }
  }
  Json layers = Json::array();
  for (const oci::DiffId& layer : image->layers) layers.push_back(layer.str());
  std::string lower;
  for (std::size_t i = image->layer_keys.size(); i-- > 1;) {
    lower +=
        (lower.empty() ? "" : ":") + state_->store.layer_dir(image->layer_keys[i - 1]).string();
  }
  const std::string upper =
      image->layer_keys.empty() ? "" : state_->store.layer_dir(image->layer_keys.back()).string();
  const Json document = {
      {"Id", image->id.str()},
      {"RepoTags", tags},
      {"RepoDigests", digests},
      {"Parent", ""},
      {"Comment", config.history.empty() ? "" : config.history.back().comment},
      {"Created", config.created},
      {"DockerVersion", ""},
      {"Author", config.author},
      {"Config", config_json(config)},
      {"Architecture", config.platform.architecture},
      {"Variant", config.platform.variant},
      {"Os", config.platform.os},
      {"Size", image->size},
      {"VirtualSize", image->size},
      {"GraphDriver", {{"Data", {{"LowerDir", lower}, {"UpperDir", upper}}}, {"Name", "overlay2"}}},
      {"RootFS", {{"Type", "layers"}, {"Layers", layers}}},
      {"Metadata", {{"LastTagTime", base::format_rfc3339(image->pulled)}}}};
  return document.dump(4, ' ', false, Json::error_handler_t::replace);
}

}  // namespace engine
