#include "cli/container_flags.h"

#include <arpa/inet.h>
#include <charconv>

#include "base/error.h"
#include "base/time.h"

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

std::int64_t size_of(const std::string& flag, const std::string& text) {
  if (text.empty()) return 0;
  if (text == "-1") return -1;
  return base::while_doing("invalid argument \"" + text + "\" for \"" + flag + "\" flag",
                           [&] { return base::parse_size_binary(text); });
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
  for (auto group : {resource_flags(), isolation_flags(), network_flags_.flags()}) {
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
      {"--log-driver", "string", "Logging driver for the container (\"json-file\", \"none\")",
       &o.log_driver},
      {"--log-opt", "list", "Log driver options", &log_options_},
      {"--rm", "", "Automatically remove the container when it exits", &o.auto_remove},
  };
}

std::vector<Flag> ContainerFlags::resource_flags() {
  auto& o = options_;
  return {
      {"-m,--memory", "bytes", "Memory limit", &memory_},
      {"--memory-swap", "bytes",
       "Swap limit equal to memory plus swap: '-1' to enable unlimited swap", &memory_swap_},
      {"--memory-reservation", "bytes", "Memory soft limit", &memory_reservation_},
      {"--cpus", "decimal", "Number of CPUs", &cpus_},
      {"-c,--cpu-shares", "int", "CPU shares (relative weight)", &o.cpu_shares},
      {"--cpuset-cpus", "string", "CPUs in which to allow execution (0-3, 0,1)", &o.cpuset_cpus},
      {"--pids-limit", "int", "Tune container pids limit (set -1 for unlimited)", &o.pids_limit},
      {"--shm-size", "bytes", "Size of /dev/shm", &shm_size_},
      {"--ulimit", "ulimit", "Ulimit options", &ulimits_},
      {"--oom-score-adj", "int", "Tune host's OOM preferences (-1000 to 1000)", &oom_score_adj_},
  };
}

std::vector<Flag> ContainerFlags::isolation_flags() {
  auto& o = options_;
  return {
      {"-v,--volume", "list", "Bind mount a volume", &volumes_},
      {"--mount", "mount", "Attach a filesystem mount to the container", &mounts_},
      {"--tmpfs", "list", "Mount a tmpfs directory", &tmpfs_},
      {"-p,--publish", "list", "Publish a container's port(s) to the host", &ports_},
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
      {"--sysctl", "map", "Sysctl options", &sysctls_},
      {"--detach-keys", "string", "Override the key sequence for detaching a container",
       &detach_keys},
  };
}

engine::ContainerOptions ContainerFlags::to_options(const std::vector<std::string>& words) const {
  engine::ContainerOptions options = options_;
  options.image = words.at(0);
  options.command.assign(words.begin() + 1, words.end());
  if (entrypoint_) {
    options.entrypoint.emplace();
    if (!entrypoint_->empty()) options.entrypoint->push_back(*entrypoint_);
  }
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
  options.sysctls = pairs_of(sysctls_);
  options.log_options = pairs_of(log_options_);

  for (const std::string& text : volumes_) options.mounts.push_back(parse_volume(text));
  for (const std::string& text : mounts_) options.mounts.push_back(parse_mount(text));
  for (const std::string& text : tmpfs_) options.mounts.push_back(parse_tmpfs(text));
  for (const std::string& text : ports_) {
    for (const engine::PortOption& port : parse_ports(text)) options.ports.push_back(port);
  }
  for (const std::string& text : ulimits_) options.ulimits.push_back(parse_ulimit(text));

  options.memory = size_of("-m, --memory", memory_);
  options.memory_swap = size_of("--memory-swap", memory_swap_);
  options.memory_reservation = size_of("--memory-reservation", memory_reservation_);
  if (!shm_size_.empty()) options.shm_size = size_of("--shm-size", shm_size_);
  if (!cpus_.empty()) options.nano_cpus = parse_cpus(cpus_);
  if (options.memory_swap > 0 && options.memory == 0) {
    invalid("You should always set the Memory limit when using Memoryswap limit, see usage");
  }
  if (options.memory_swap > 0 && options.memory_swap < options.memory) {
    invalid("Minimum memoryswap limit should be larger than memory limit, see usage");
  }
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
  options.pull = pull_policy(pull_);
  if (options.network == engine::NetworkMode::kHost && !options.ports.empty()) {
    options.ports.clear();  // docker: discarded with a warning when using host network mode
  }
  return options;
}

}  // namespace cli
