// ContainerOptions: everything that `create` and `run` can be told, as typed values; kept as JSON
// in the container's row.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/health.h"
#include "engine/resource_limits.h"
#include "engine/restart_policy.h"
#include "network/bridge.h"
#include "oci/image_config.h"
#include "oci/runtime_spec.h"

namespace engine {

struct MountOption {
  enum class Kind { kBind, kVolume, kTmpfs } kind = Kind::kBind;
  std::string source;  // host path, volume name (empty: anonymous)
  std::string target;
  bool readonly = false, no_copy = false, recursive = true;
  std::string propagation;        // "rprivate"
  std::string tmpfs_options;      // "size=64m,mode=1777"
  bool create_source = false;     // -v makes a missing host directory, --mount does not
  std::string mode;               // as written behind -v's second colon: "ro,z"
  std::string subpath;            // of a volume
  bool shallow_readonly = false;  // read-only leaves what is mounted below it writable
  // A bind whose files are shown as others': by these mappings (on disk to shown; "relative": to
  // the container's ids), or, without any, the source's owner as the container's user.
  bool id_mapped = false;
  std::vector<oci::IdMapping> uid_map, gid_map;
  // What a volume is made with where it does not exist.
  std::map<std::string, std::string> volume_labels, volume_options;
  friend bool operator==(const MountOption&, const MountOption&) = default;
};

struct PortOption {          // host_port 0: any free one
  std::string host_address;  // empty: any
  std::uint16_t host_port = 0, container_port = 0;
  network::Protocol protocol = network::Protocol::kTcp;
  std::uint16_t host_port_last = 0;  // not 0: any from host_port on to this one
  friend bool operator==(const PortOption&, const PortOption&) = default;
};

// kBridge: on the networks of ContainerOptions::networks.
enum class NetworkMode { kBridge, kNone, kHost, kContainer };

struct NetworkOption {
  std::string name;
  std::string address, address6, mac;  // empty: given by us
  std::vector<std::string> aliases;
  std::int64_t gateway_priority = 0;  // the network with the highest has the default route
  friend bool operator==(const NetworkOption&, const NetworkOption&) = default;
};

enum class PullPolicy { kMissing, kAlways, kNever };

struct ContainerOptions {
  std::string image;
  std::vector<std::string> command;                    // after the image's name
  std::optional<std::vector<std::string>> entrypoint;  // an empty list clears the image's
  std::string name;
  std::vector<std::string> env;  // "NAME=VALUE"; the command line has already resolved bare names
  std::string working_dir, user, hostname, domainname;
  bool interactive = false, tty = false, auto_remove = false, read_only = false, privileged = false,
       init = false;
  std::uint16_t tty_height = 0, tty_width = 0;
  std::vector<MountOption> mounts;
  std::vector<PortOption> ports;
  std::vector<std::string> exposed_ports;  // "80/tcp"; beside the image's and those of `ports`
  bool publish_all = false;
  NetworkMode network = NetworkMode::kBridge;
  std::vector<NetworkOption> networks;  // of kBridge; none: the default one
  std::string network_container;        // of kContainer
  std::vector<std::string> links;       // "container:alias"
  std::vector<std::string> dns, dns_search, dns_options, extra_hosts;
  ResourceLimits limits;
  std::string cgroup_parent;  // empty: the engine's
  // As docker's HostConfig has them: "", "host", "private", "shareable", "none", "container:<id>".
  std::string pid_mode, ipc_mode, uts_mode, cgroup_mode;
  std::string user_mode;  // "", "host", "private", "auto", "auto:size=N"
  std::vector<oci::IdMapping> uid_mappings, gid_mappings;  // of --uidmap; empty: chosen
  std::vector<std::string> device_rules;                   // "c 13:* rwm"
  std::vector<std::string> volumes_from;  // "name:ro"; gone once create() has read it
  std::map<std::string, std::string> annotations;
  std::int64_t shm_size = 64 << 20;  // bytes
  std::vector<std::string> cap_add, cap_drop, security_opt, devices, group_add;
  std::vector<oci::Rlimit> ulimits;
  std::map<std::string, std::string> labels, sysctls;
  std::string stop_signal;
  std::optional<int> stop_timeout;  // seconds
  std::optional<int> oom_score_adj;
  std::map<std::string, std::string> log_options;  // of log_plan.h
  std::string log_driver = "json-file";
  RestartRule restart;
  std::optional<oci::HealthCheck> health;  // once created: with what the image says
  std::string health_shell;                // the image's SHELL, a line each; empty: /bin/sh -c
  HealthAction health_on_failure = HealthAction::kNone;
  std::string platform;
  PullPolicy pull = PullPolicy::kMissing;
  friend bool operator==(const ContainerOptions&, const ContainerOptions&) = default;
};

std::string render_options(const ContainerOptions& options);
ContainerOptions parse_options(std::string_view json);
std::string render_labels(const std::map<std::string, std::string>& labels);  // a JSON object

}  // namespace engine
