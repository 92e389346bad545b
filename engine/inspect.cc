#include <nlohmann/json.hpp>

#include "base/error.h"
#include "engine/bridge_network.h"
#include "engine/bundle.h"
#include "engine/container_log.h"
#include "engine/container_sizes.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/inspect_resources.h"
#include "engine/inspect_words.h"
#include "engine/process_plan.h"
#include "engine/spec.h"

namespace engine {
namespace {

using Json = nlohmann::ordered_json;

Json state_json(const storage::ContainerRow& row, const std::optional<Health>& health) {
  using storage::ContainerStatus;
  const bool running = row.status == ContainerStatus::kRunning;
  const bool paused = row.status == ContainerStatus::kPaused;
  const bool restarting = row.status == ContainerStatus::kRestarting;
  Json state = {{"Status", status_word(row.status)},
                {"Running", running || paused || restarting},
                {"Paused", paused},
                {"Restarting", restarting},
                {"OOMKilled", row.oom_killed},
                {"Dead", row.status == ContainerStatus::kDead},
                {"Pid", running || paused ? row.init.pid : 0},
                {"ExitCode", row.exit_code},
                {"Error", row.error},
                {"StartedAt", base::format_rfc3339(row.started)},
                {"FinishedAt", base::format_rfc3339(row.finished)}};
  if (health) state["Health"] = Json::parse(render_health(*health));
  return state;
}

Json health_check_json(const oci::HealthCheck& check) {
  Json json = {{"Test", check.test}};
  const auto add = [&](const char* name, std::int64_t value) {
    if (value != 0) json[name] = value;
  };
  add("Interval", check.interval);
  add("Timeout", check.timeout);
  add("StartPeriod", check.start_period);
  add("StartInterval", check.start_interval);
  add("Retries", check.retries);
  return json;
}

Json list_or_null(const std::vector<std::string>& list) {
  return list.empty() ? Json(nullptr) : Json(list);
}

std::string network_word(const ContainerOptions& options) {
  switch (options.network) {
    case NetworkMode::kNone:
      return "none";
    case NetworkMode::kHost:
      return "host";
    case NetworkMode::kContainer:
      return "container:" + options.network_container;
    case NetworkMode::kBridge:
      break;
  }
  return options.networks.empty() ? "bridge" : options.networks.front().name;
}

Json endpoint_json(const Attachment& attachment, const std::string& container_name,
                   const std::string& id) {
  const network::Endpoint& endpoint = attachment.endpoint;
  Json names = Json::array();
  if (attachment.network != kBridgeNetwork) {
    names.push_back(container_name);
    for (const std::string& alias : attachment.aliases) names.push_back(alias);
    names.push_back(id.substr(0, 12));
  }
  const bool has_v6 = endpoint.address6.has_value();
  return {{"Aliases", attachment.aliases.empty() ? Json(nullptr) : Json(attachment.aliases)},
          {"MacAddress", network::format_mac(endpoint.mac)},
          {"NetworkID", attachment.network_id},
          {"EndpointID", id},
          {"Gateway", attachment.link.gateway.str()},
          {"IPAddress", endpoint.address.bits == 0 ? "" : endpoint.address.str()},
          {"IPPrefixLen", attachment.link.subnet.prefix},
          {"IPv6Gateway", has_v6 ? attachment.link.gateway6.str() : ""},
          {"GlobalIPv6Address", has_v6 ? endpoint.address6->str() : ""},
          {"GlobalIPv6PrefixLen", has_v6 ? attachment.link.subnet6->prefix : 0},
          {"GwPriority", attachment.gateway_priority},
          {"DNSNames", names.empty() ? Json(nullptr) : names}};
}

// Of a container that does not run: what it will be on.
Json planned_networks(const ContainerOptions& options) {
  Json networks = Json::object();
  const auto add = [&](const NetworkOption& option) {
    networks[option.name] = {{"Aliases", list_or_null(option.aliases)},
                             {"MacAddress", ""},
                             {"NetworkID", ""},
                             {"EndpointID", ""},
                             {"Gateway", ""},
                             {"IPAddress", ""},
                             {"IPPrefixLen", 0},
                             {"GwPriority", option.gateway_priority}};
  };
  if (options.network == NetworkMode::kContainer) return networks;
  if (options.networks.empty()) add({.name = network_word(options)});
  for (const NetworkOption& option : options.networks) add(option);
  return networks;
}

std::string port_key(std::uint16_t port, network::Protocol protocol) {
  return std::to_string(port) + "/" + protocol_name(protocol);
}

Json port_bindings(const ContainerOptions& options) {
  Json bindings = Json::object();
  for (const PortOption& port : options.ports) {
    bindings[port_key(port.container_port, port.protocol)].push_back(
        {{"HostIp", port.host_address},
         {"HostPort", port.host_port == 0 ? "" : std::to_string(port.host_port)}});
  }
  return bindings;
}

// What -v has said; --mount is in HostConfig.Mounts.
Json binds_of(const ContainerOptions& options) {
  Json binds = Json::array();
  for (const MountOption& mount : options.mounts) {
    if (mount.kind == MountOption::Kind::kTmpfs || !mount.create_source) continue;
    binds.push_back(mount.source + ":" + mount.target +
                    (mount.mode.empty() ? "" : ":" + mount.mode));
  }
  return binds.empty() ? Json(nullptr) : binds;
}

Json ulimits_of(const ContainerOptions& options) {
  Json ulimits = Json::array();
  for (const oci::Rlimit& limit : options.ulimits) {
    std::string name = limit.type.substr(limit.type.find('_') + 1);
    for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    ulimits.push_back({{"Name", name}, {"Hard", limit.hard}, {"Soft", limit.soft}});
  }
  return ulimits.empty() ? Json(nullptr) : ulimits;
}

Json host_config_json(const ContainerOptions& options, const oci::RuntimeSpec& spec) {
  Json log_options = Json::object();
  for (const auto& [key, value] : options.log_options) log_options[key] = value;
  Json config = {{"Binds", binds_of(options)},
                 {"LogConfig", {{"Type", options.log_driver}, {"Config", log_options}}},
                 {"NetworkMode", network_word(options)},
                 {"PortBindings", port_bindings(options)},
                 {"RestartPolicy",
                  {{"Name", restart_policy_name(options.restart.policy)},
                   {"MaximumRetryCount", options.restart.max_retries}}},
                 {"AutoRemove", options.auto_remove},
                 {"CapAdd", list_or_null(options.cap_add)},
                 {"CapDrop", list_or_null(options.cap_drop)},
                 {"Dns", Json(options.dns)},
                 {"DnsOptions", Json(options.dns_options)},
                 {"DnsSearch", Json(options.dns_search)},
                 {"ExtraHosts", list_or_null(options.extra_hosts)},
                 {"GroupAdd", list_or_null(options.group_add)},
                 {"OomScoreAdj", options.oom_score_adj.value_or(0)},
                 {"Privileged", options.privileged},
                 {"PublishAllPorts", options.publish_all},
                 {"ReadonlyRootfs", options.read_only},
                 {"SecurityOpt", list_or_null(options.security_opt)},
                 {"ShmSize", options.shm_size},
                 {"Sysctls", Json(options.sysctls)},
                 {"Runtime", "sampan"},
                 {"Init", options.init},
                 {"Ulimits", ulimits_of(options)},
                 {"MaskedPaths", Json(spec.linux_.masked_paths)},
                 {"ReadonlyPaths", Json(spec.linux_.readonly_paths)}};
  add_resources(options, spec, config);
  add_isolation(options, config);
  return config;
}

Json exposed_ports(const BundleInput& input) {
  Json exposed = Json::object();
  for (const auto* list : {&input.image_config.exposed_ports, &input.options.exposed_ports}) {
    for (const std::string& port : *list) exposed[port] = Json::object();
  }
  for (const PortOption& port : input.options.ports) {
    exposed[port_key(port.container_port, port.protocol)] = Json::object();
  }
  return exposed;
}

Json config_json(const BundleInput& input, const oci::RuntimeSpec& spec) {
  const ContainerOptions& options = input.options;
  const oci::ImageConfig& image = input.image_config;
  Json volumes = Json::object();
  for (const std::string& path : image.volumes) volumes[path] = Json::object();
  const std::vector<std::string> entrypoint = options.entrypoint.value_or(image.entrypoint);
  const bool image_command = !options.entrypoint && options.command.empty();
  Json config = {
      {"Hostname", spec.hostname},
      {"Domainname", options.domainname},
      {"User", options.user.empty() ? image.user : options.user},
      {"AttachStdin", options.interactive},
      {"AttachStdout", true},
      {"AttachStderr", true},
      {"ExposedPorts", exposed_ports(input)},
      {"Tty", options.tty},
      {"OpenStdin", options.interactive},
      {"StdinOnce", options.interactive},
      {"Env", Json(config_environment(image, options))},
      {"Cmd", list_or_null(image_command ? image.cmd : options.command)},
      {"Image", input.row.image_name},
      {"Volumes", volumes.empty() ? Json(nullptr) : volumes},
      {"WorkingDir", options.working_dir.empty() ? image.working_dir : options.working_dir},
      {"Entrypoint", list_or_null(entrypoint)},
      {"Labels", Json::parse(input.row.labels, nullptr, false)}};
  if (!options.stop_signal.empty()) config["StopSignal"] = options.stop_signal;
  if (options.health) config["Healthcheck"] = health_check_json(*options.health);
  if (options.stop_timeout) config["StopTimeout"] = *options.stop_timeout;
  return config;
}

// Ports that are exposed but not published are null, as long as the container is on a network.
Json network_json(const ContainerInfo& info, const BundleInput& input) {
  Json ports = Json::object();
  if (!info.network.attachments.empty()) {
    const Json exposed = exposed_ports(input);
    for (const auto& [port, nothing] : exposed.items()) ports[port] = nullptr;
  }
  for (const network::PublishedPort& port : info.ports) {
    ports[port_key(port.container_port, port.protocol)].push_back(
        {{"HostIp", port.host_address.str()}, {"HostPort", std::to_string(port.host_port)}});
  }
  Json networks = Json::object();
  for (const Attachment& attachment : info.network.attachments) {
    networks[attachment.network] = endpoint_json(attachment, info.row.name, info.row.id);
  }
  if (networks.empty()) networks = planned_networks(info.options);
  return {{"Ports", ports},
          {"Gateway", info.gateway},
          {"IPAddress", info.ip_address},
          {"IPPrefixLen", info.ip_prefix},
          {"MacAddress", info.mac_address},
          {"Networks", networks}};
}

}  // namespace

std::optional<std::string> Engine::inspect_container(std::string_view name_or_id,
                                                     InspectSize size) {
  const auto info = find_container(name_or_id);
  if (!info) return std::nullopt;
  const storage::ContainerRow& row = info->row;
  const BundleInput input = load_bundle_input(state_->store, row);
  const RunDirectory directory = state_->directory_of(row.id);
  const oci::RuntimeSpec spec = describe_spec(input);
  const std::vector<std::string>& arguments = spec.process->args;
  const storage::OverlayPlan overlay = storage::plan_overlay(state_->store, input.image.layer_keys,
                                                             state_->store.container_dir(row.id));
  std::string lower;
  for (const fs::path& layer : overlay.lower) lower += (lower.empty() ? "" : ":") + layer.string();
  Json document = {
      {"Id", row.id},
      {"Created", base::format_rfc3339(row.created)},
      {"Path", arguments.front()},
      {"Args", std::vector<std::string>(arguments.begin() + 1, arguments.end())},
      {"State", state_json(row, info->health)},
      {"Image", row.image.str()},
      {"ResolvConfPath", (directory.path() / "resolv.conf").string()},
      {"HostnamePath", (directory.path() / "hostname").string()},
      {"HostsPath", (directory.path() / "hosts").string()},
      {"LogPath", input.options.log_driver == "json-file"
                      ? log_path(state_->store, row.id, input.options.log_driver).string()
                      : ""},
      {"Name", "/" + row.name},
      {"RestartCount", row.restarts},
      {"Driver", "overlay2"},
      {"Platform", "linux"},
      {"MountLabel", ""},
      {"ProcessLabel", ""},
      {"AppArmorProfile", ""},
      {"ExecIDs", nullptr},
      {"HostConfig", host_config_json(input.options, spec)},
      {"GraphDriver",
       {{"Data",
         {{"LowerDir", lower},
          {"MergedDir", ""},
          {"UpperDir", overlay.upper.string()},
          {"WorkDir", overlay.work.string()}}},
        {"Name", "overlay2"}}}};
  if (size == InspectSize::kMeasured) {
    const ContainerSize measured = ContainerSizes(state_->store).measure(row);
    document["SizeRw"] = measured.written;
    document["SizeRootFs"] = measured.root_fs;
  }
  document.update(Json{{"Mounts", describe_mounts(state_->store, input.options)},
                       {"Config", config_json(input, spec)},
                       {"NetworkSettings", network_json(*info, input)}});
  return document.dump(4, ' ', false, Json::error_handler_t::replace);
}

}  // namespace engine
