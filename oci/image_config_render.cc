#include "oci/image_config.h"
#include "oci/json_writer.h"

namespace oci {
namespace {

void write_set(JsonWriter& json, std::string_view name, const std::vector<std::string>& names) {
  if (names.empty()) return;
  json.key(name).begin_object();
  for (const std::string& member : names) json.key(member).begin_object().end_object();
  json.end_object();
}

void write_unless_zero(JsonWriter& json, std::string_view name, std::int64_t number) {
  if (number != 0) json.key(name).value(number);
}

void write_health_check(JsonWriter& json, const HealthCheck& check) {
  json.key("Healthcheck").begin_object().member_unless_empty("Test", check.test);
  write_unless_zero(json, "Interval", check.interval);
  write_unless_zero(json, "Timeout", check.timeout);
  write_unless_zero(json, "StartPeriod", check.start_period);
  write_unless_zero(json, "StartInterval", check.start_interval);
  write_unless_zero(json, "Retries", check.retries);
  json.end_object();
}

void write_run_section(JsonWriter& json, const ImageConfig& config) {
  json.key("config").begin_object().member_unless_empty("User", config.user);
  write_set(json, "ExposedPorts", config.exposed_ports);
  json.member_unless_empty("Env", config.env)
      .member_unless_empty("Entrypoint", config.entrypoint)
      .member_unless_empty("Cmd", config.cmd);
  if (config.health_check) write_health_check(json, *config.health_check);
  json.member_if("ArgsEscaped", config.args_escaped);
  write_set(json, "Volumes", config.volumes);
  json.member_unless_empty("WorkingDir", config.working_dir)
      .member_unless_empty("OnBuild", config.on_build)
      .member_unless_empty("Labels", config.labels)
      .member_unless_empty("StopSignal", config.stop_signal)
      .member_unless_empty("Shell", config.shell)
      .end_object();
}

void write_history_entry(JsonWriter& json, const HistoryEntry& entry) {
  json.begin_object()
      .member_unless_empty("created", entry.created)
      .member_unless_empty("created_by", entry.created_by)
      .member_unless_empty("author", entry.author)
      .member_unless_empty("comment", entry.comment)
      .member_if("empty_layer", entry.empty_layer)
      .end_object();
}

}  // namespace

std::string render_image_config(const ImageConfig& config) {
  JsonWriter json;
  json.begin_object()
      .member_unless_empty("created", config.created)
      .member_unless_empty("author", config.author)
      .key("architecture")
      .value(config.platform.architecture)
      .member_unless_empty("variant", config.platform.variant)
      .key("os")
      .value(config.platform.os);
  write_run_section(json, config);
  json.key("rootfs").begin_object().key("type").value("layers").key("diff_ids").begin_array();
  for (const DiffId& id : config.diff_ids) json.value(id.str());
  json.end_array().end_object();
  if (!config.history.empty()) {
    json.key("history").begin_array();
    for (const HistoryEntry& entry : config.history) write_history_entry(json, entry);
    json.end_array();
  }
  return json.end_object().take();
}

}  // namespace oci
