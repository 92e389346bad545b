#include "cli/container_flags.h"

#include <arpa/inet.h>
#include <charconv>

#include "base/error.h"
#include "cli/command.h"
#include "engine/image_changes.h"

namespace cli {
namespace {

[[noreturn]] void invalid(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

bool is_address(const std::string& text) {
  in6_addr buffer = {};
  return inet_pton(AF_INET, text.c_str(), &buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), &buffer) == 1;
}

void check_extra_host(const std::string& entry) {
  const std::string start = "invalid argument \"" + entry + "\" for \"--add-host\" flag: ";
  const std::size_t colon = entry.find(':');
  if (colon == std::string::npos || colon == 0) {
    invalid(start + "bad format for add-host: \"" + entry + "\"");
  }
  std::string address = entry.substr(colon + 1);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  if (address != "host-gateway" && !is_address(address)) {
    invalid(start + "invalid IP address in add-host: \"" + address + "\"");
  }
}

std::map<std::string, std::string> pairs_of(const std::vector<std::string>& entries) {
  std::map<std::string, std::string> pairs;
  for (const std::string& entry : entries) {
    const std::size_t equals = entry.find('=');
    if (equals == 0 || entry.empty()) invalid("invalid label format: \"" + entry + "\"");
    pairs[entry.substr(0, equals)] = equals == std::string::npos ? "" : entry.substr(equals + 1);
  }
  return pairs;
}

engine::PullPolicy pull_policy(const std::string& text) {
  if (text == "missing") return engine::PullPolicy::kMissing;
  if (text == "always") return engine::PullPolicy::kAlways;
  if (text == "never") return engine::PullPolicy::kNever;
  invalid("invalid pull option: '" + text +
          "': must be one of \"always\", \"missing\" or \"never\"");
}

}  // namespace

std::vector<Flag> ContainerFlags::flags() {
  std::vector<Flag> all = identity_flags();
  for (auto group : {resource_flags(), isolation_flags(), network_flags_.flags(), life_flags()}) {
    all.insert(all.end(), group.begin(), group.end());
  }
  return all;
}

std::vector<Flag> ContainerFlags::identity_flags() {
  auto& o = options_;
  return {
      {"--name", "string", "Assign a name to the container", &o.name},
      {"-e,--env", "list", "Set environment variables", &env_},
      {"--env-file", "list", "Read in a file of environment variables", &env_files_},
      {"-w,--workdir", "string", "Working directory inside the container", &o.working_dir},
      {"-u,--user", "string", "Username or UID (format: <name|uid>[:<group|gid>])", &o.user},
      {"--group-add", "list", "Add additional groups to join", &o.group_add},
      {"--entrypoint", "string", "Overwrite the default ENTRYPOINT of the image", &entrypoint_},
      {"-i,--interactive", "", "Keep STDIN open even if not attached", &o.interactive},
      {"-t,--tty", "", "Allocate a pseudo-TTY", &o.tty},
      {"--init", "", "Run an init inside the container that forwards signals and reaps processes",
       &o.init},
      {"-h,--hostname", "string", "Container host name", &o.hostname},
      {"--domainname", "string", "Container NIS domain name", &o.domainname},
      {"-l,--label", "list", "Set meta data on a container", &labels_},
      {"--label-file", "list", "Read in a line delimited file of labels", &label_files_},
      {"--cidfile", "string", "Write the container ID to the file", &cidfile},
      {"--pull", "string", "Pull image before running (\"always\", \"missing\", \"never\")",
       &pull_},
      {"--platform", "string", "Set platform if server is multi-platform capable", &o.platform},
      {"-q,--quiet", "", "Suppress the pull output", &quiet},
      {"--stop-signal", "string", "Signal to stop the container", &o.stop_signal},
      {"--stop-timeout", "int", "Timeout (in seconds) to stop a container", &stop_timeout_},
      {"--log-driver", "string",
       "Logging driver for the container (\"json-file\", \"local\", \"journald\", \"none\")",
       &o.log_driver},
      {"--log-opt", "list", "Log driver options", &log_options_},
      {"--rm", "", "Automatically remove the container when it exits", &o.auto_remove},
  };
}

std::vector<Flag> ContainerFlags::resource_flags() {
  std::vector<Flag> table = resources_.flags(ResourceFlags::Use::kCreate);
  const std::vector<Flag> others = {
      {"--shm-size", "bytes", "Size of /dev/shm", &shm_size_},
      {"--ulimit", "ulimit", "Ulimit options", &ulimits_},
      {"--oom-score-adj", "int", "Tune host's OOM preferences (-1000 to 1000)", &oom_score_adj_},
  };
  table.insert(table.end(), others.begin(), others.end());
  return table;
}

std::vector<Flag> ContainerFlags::isolation_flags() {
  auto& o = options_;
  return {
      {"-v,--volume", "list", "Bind mount a volume", &volumes_},
      {"--mount", "mount", "Attach a filesystem mount to the container", &mounts_},
      {"--tmpfs", "list", "Mount a tmpfs directory", &tmpfs_},
      {"--volumes-from", "list", "Mount volumes from the specified container(s)", &o.volumes_from},
      {"--volume-driver", "string", "Volume driver for the container (\"local\")", &volume_driver_},
      {"-p,--publish", "list", "Publish a container's port(s) to the host", &ports_},
      {"--expose", "list", "Expose a port or a range of ports", &expose_},
      {"-P,--publish-all", "", "Publish all exposed ports to random ports", &o.publish_all},
      {"--dns", "list", "Set custom DNS servers", &o.dns},
      {"--dns-search", "list", "Set custom DNS search domains", &o.dns_search},
      {"--dns-option", "list", "Set DNS options", &o.dns_options},
      {"--add-host", "list", "Add a custom host-to-IP mapping (host:ip)", &o.extra_hosts},
      {"--cap-add", "list", "Add Linux capabilities", &o.cap_add},
      {"--cap-drop", "list", "Drop Linux capabilities", &o.cap_drop},
      {"--privileged", "", "Give extended privileges to this container", &o.privileged},
      {"--read-only", "", "Mount the container's root filesystem as read only", &o.read_only},
      {"--security-opt", "list", "Security options", &o.security_opt},
      {"--device", "list", "Add a host device to the container", &o.devices},
      {"--device-cgroup-rule", "list", "Add a rule to the cgroup allowed devices list",
       &o.device_rules},
      {"--gpus", "gpu-request", "Refused: there is no driver for GPUs", &gpus_},
      {"--sysctl", "map", "Sysctl options", &sysctls_},
      {"--cgroup-parent", "string", "Parent cgroup for the container", &o.cgroup_parent},
      {"--cgroupns", "string", "Cgroup namespace to use (host|private)", &o.cgroup_mode},
      {"--ipc", "string", "IPC mode to use (none|private|shareable|host|container:<name>)",
       &o.ipc_mode},
      {"--pid", "string", "PID namespace to use (host|container:<name>)", &o.pid_mode},
      {"--uts", "string", "UTS namespace to use (host)", &o.uts_mode},
      {"--userns", "string", "User namespace to use (host|private|auto[:size=<n>])", &o.user_mode},
      {"--uidmap", "list", "UID map to use for the user namespace (inside:outside:size)",
       &uid_maps_},
      {"--gidmap", "list", "GID map to use for the user namespace (inside:outside:size)",
       &gid_maps_},
      {"--annotation", "map", "Add an annotation to the container (passed to the OCI runtime)",
       &annotations_},
      {"--isolation", "string", "Container isolation technology (\"default\")", &isolation_},
      {"--runtime", "string", "Runtime to use for this container (\"sampan\")", &runtime_},
      {"--disable-content-trust", "", "Accepted for docker's sake", &unused_},
      {"--detach-keys", "string", "Override the key sequence for detaching a container",
       &detach_keys},
  };
}

// What chooses between parts of docker of which there is one here.
void ContainerFlags::check_engine_flags() const {
  if (!gpus_.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "could not select device driver \"\" with capabilities: [[gpu]]");
  }
  if (!volume_driver_.empty() && volume_driver_ != "local") {
    throw base::Error(base::ErrorKind::kNotFound, "error looking up volume plugin " +
                                                      volume_driver_ + ": plugin \"" +
                                                      volume_driver_ + "\" not found");
  }
  if (!isolation_.empty() && isolation_ != "default") {
    invalid("invalid isolation: \"" + isolation_ + "\" - linux only supports 'default'");
  }
  if (!runtime_.empty() && runtime_ != "sampan") {
    invalid("unknown or invalid runtime name: " + runtime_);
  }
}

engine::ContainerOptions ContainerFlags::to_options(const std::vector<std::string>& words) const {
  engine::ContainerOptions options = options_;
  options.image = words.at(0);
  options.command.assign(words.begin() + 1, words.end());
  if (entrypoint_) options.entrypoint = parse_entrypoint(*entrypoint_);
  for (const std::string& file : env_files_) {
    for (std::string& entry : read_env_file(file)) options.env.push_back(std::move(entry));
  }
  for (std::string& entry : resolve_env(env_)) options.env.push_back(std::move(entry));

  std::vector<std::string> labels;
  for (const std::string& file : label_files_) {
    for (std::string& entry : read_env_file(file)) labels.push_back(std::move(entry));
  }
  labels.insert(labels.end(), labels_.begin(), labels_.end());
  options.labels = pairs_of(labels);
  for (const std::string& text : sysctls_) {
    if (text.find('=') == std::string::npos) invalid("sysctl '" + text + "' is not allowed");
  }
  options.sysctls = pairs_of(sysctls_);
  options.annotations = pairs_of(annotations_);
  options.log_options = pairs_of(log_options_);

  for (const std::string& text : volumes_) options.mounts.push_back(parse_volume(text));
  for (const std::string& text : mounts_) options.mounts.push_back(parse_mount(text));
  for (const std::string& text : tmpfs_) options.mounts.push_back(parse_tmpfs(text));
  for (const std::string& text : expose_) {
    for (std::string& port : engine::parse_exposed_ports(text)) {
      options.exposed_ports.push_back(std::move(port));
    }
  }
  for (const std::string& text : ports_) {
    for (const engine::PortOption& port : parse_ports(text)) options.ports.push_back(port);
  }
  for (const std::string& text : ulimits_) options.ulimits.push_back(parse_ulimit(text));

  for (const std::string& text : uid_maps_) options.uid_mappings.push_back(parse_id_mapping(text));
  for (const std::string& text : gid_maps_) options.gid_mappings.push_back(parse_id_mapping(text));
  const bool has_mappings = !uid_maps_.empty() || !gid_maps_.empty();
  if (has_mappings && options.user_mode.empty()) options.user_mode = "private";
  check_engine_flags();
  options.limits = resources_.to_limits();
  if (!shm_size_.empty()) options.shm_size = parse_memory("--shm-size", shm_size_);
  if (options.shm_size < 0) invalid("SHM size can not be less than 0");
  // As docker has it; and tmpfs takes 0 for "without any limit".
  if (options.shm_size == 0) options.shm_size = engine::ContainerOptions().shm_size;
  if (stop_timeout_) {
    int seconds = 0;
    const auto [end, error] = std::from_chars(
        stop_timeout_->data(), stop_timeout_->data() + stop_timeout_->size(), seconds);
    if (error != std::errc() || *end != '\0')
      invalid("invalid argument \"" + *stop_timeout_ + "\" for \"--stop-timeout\" flag");
    options.stop_timeout = seconds;
  }
  options.oom_score_adj = oom_score_adj_;
  if (oom_score_adj_ && (*oom_score_adj_ < -1000 || *oom_score_adj_ > 1000)) {
    invalid("Invalid value " + std::to_string(*oom_score_adj_) +
            ", range for oom score adj is [-1000, 1000]");
  }
  for (const std::string& server : options.dns) {
    if (!is_address(server)) {
      invalid("invalid argument \"" + server + "\" for \"--dns\" flag: " + server +
              " is not an ip address");
    }
  }
  for (const std::string& entry : options.extra_hosts) check_extra_host(entry);
  network_flags_.apply(options);
  options.restart = engine::parse_restart_rule(restart_);
  options.health = health_check();
  options.health_on_failure = engine::parse_health_action(health_on_failure_);
  options.pull = pull_policy(pull_);
  if (options.network == engine::NetworkMode::kHost && !options.ports.empty()) {
    options.ports.clear();
    print_error("WARNING: Published ports are discarded when using host network mode");
  }
  return options;
}

}  // namespace cli
