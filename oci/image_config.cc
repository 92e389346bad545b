#include "oci/image_config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/error.h"
#include "base/letter_case.h"
#include "base/text.h"
#include "oci/descriptor.h"
#include "oci/json_value.h"
#include "oci/manifest.h"

namespace oci {
namespace {

// A bare string is an array of one: so docker reads Cmd and Entrypoint.
void read_words(const JsonValue& value, std::vector<std::string>& out) {
  if (value.is_string()) {
    out = {value.string()};
  } else {
    value.read(out);
  }
}

// An entry without "=" would have other engines copy the variable of their own environment.
void read_environment(const JsonValue& value, std::vector<std::string>& out) {
  value.read(out);
  for (const std::string& entry : out) {
    const std::size_t equals = entry.find('=');
    if (equals == std::string::npos || equals == 0) {
      value.fail("\"" + base::printable(entry, 80) + "\" is not NAME=VALUE");
    }
  }
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && at == text.data() + text.size();
}

// "80", "80/tcp", "8000-8010/udp" (image-spec, config.md, ExposedPorts), with the protocol written
// out.
std::optional<std::string> find_exposed_port(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::string protocol = base::lower_case(
      std::string(slash == std::string_view::npos ? "tcp" : text.substr(slash + 1)));
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") return std::nullopt;
  const std::string_view range = text.substr(0, slash);
  const std::size_t dash = range.find('-');
  if (!is_port(range.substr(0, dash))) return std::nullopt;
  if (dash != std::string_view::npos && !is_port(range.substr(dash + 1))) return std::nullopt;
  return std::string(range) + "/" + protocol;
}

// Both sets are objects whose members are empty objects (Go's map[string]struct{}).
std::vector<std::string> parse_set(const JsonValue& value) {
  std::vector<std::string> names;
  for (const auto& [name, member] : value.members()) {
    if (!member.is_empty() || member.is_array()) member.fail("must be an empty object");
    names.push_back(name);
  }
  return names;
}

std::vector<std::string> parse_exposed_ports(const JsonValue& value) {
  std::vector<std::string> ports;
  for (const std::string& name : parse_set(value)) {
    auto port = find_exposed_port(name);
    if (!port) value.fail("\"" + base::printable(name, 40) + "\" is not PORT[/PROTOCOL]");
    ports.push_back(std::move(*port));
  }
  std::sort(ports.begin(), ports.end());
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
  return ports;
}

HealthCheck parse_health_check(const JsonValue& value) {
  HealthCheck check;
  value["Test"].read(check.test);
  value["Interval"].read(check.interval);
  value["Timeout"].read(check.timeout);
  value["StartPeriod"].read(check.start_period);
  value["StartInterval"].read(check.start_interval);
  value["Retries"].read(check.retries);
  return check;
}

void read_run_section(const JsonValue& value, ImageConfig& config) {
  value["User"].read(config.user);
  value["WorkingDir"].read(config.working_dir);
  value["StopSignal"].read(config.stop_signal);
  read_environment(value["Env"], config.env);
  read_words(value["Entrypoint"], config.entrypoint);
  read_words(value["Cmd"], config.cmd);
  read_words(value["Shell"], config.shell);
  value["ArgsEscaped"].read(config.args_escaped);
  config.exposed_ports = parse_exposed_ports(value["ExposedPorts"]);
  config.volumes = parse_set(value["Volumes"]);
  value["OnBuild"].read(config.on_build);
  value["Labels"].read(config.labels);
  if (const JsonValue check = value["Healthcheck"]; check.exists()) {
    config.health_check = parse_health_check(check);
  }
}

void read_root_filesystem(const JsonValue& value, ImageConfig& config) {
  if (const JsonValue type = value["type"]; type.string() != "layers") {
    type.fail("must be \"layers\", not \"" + base::printable(type.string(), 40) + "\"");
  }
  const std::vector<JsonValue> ids = value["diff_ids"].elements();
  if (ids.size() > kMaxLayers) {
    value["diff_ids"].fail("more than " + std::to_string(kMaxLayers) + " layers");
  }
  for (const JsonValue& id : ids) {
    const std::string text = id.string();
    if (!is_sha256(text)) id.fail("malformed digest");
    config.diff_ids.push_back(DiffId::parse(text));
  }
}

HistoryEntry parse_history_entry(const JsonValue& value) {
  HistoryEntry entry;
  value["created"].read(entry.created);
  value["created_by"].read(entry.created_by);
  value["author"].read(entry.author);
  value["comment"].read(entry.comment);
  value["empty_layer"].read(entry.empty_layer);
  return entry;
}

}  // namespace

ImageConfig parse_image_config(std::string_view json) {
  return base::while_doing("image config", [&] {
    const JsonDocument document(json, {.bytes = kMaxConfigBytes, .depth = 64});
    const JsonValue root = document.root();
    ImageConfig config;
    config.platform = parse_platform(root);
    root["created"].read(config.created);
    root["author"].read(config.author);
    read_run_section(root["config"], config);
    read_root_filesystem(root["rootfs"], config);
    for (const JsonValue& entry : root["history"].elements()) {
      config.history.push_back(parse_history_entry(entry));
    }
    return config;
  });
}

}  // namespace oci
