// ContainerOptions: everything that `create` and `run` can be told, as typed values; kept as JSON
// in the container's row.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "network/bridge.h"
#include "oci/runtime_spec.h"

namespace engine {

struct MountOption {
  enum class Kind { kBind, kVolume, kTmpfs } kind = Kind::kBind;
  std::string source;  // host path, volume name (empty: anonymous)
  std::string target;
  bool readonly = false, no_copy = false, recursive = true;
  std::string propagation;     // "rprivate"
  std::string tmpfs_options;   // "size=64m,mode=1777"
  bool create_source = false;  // -v makes a missing host directory, --mount does not
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
  bool publish_all = false;
  NetworkMode network = NetworkMode::kBridge;
  std::vector<NetworkOption> networks;  // of kBridge; none: the default one
  std::string network_container;        // of kContainer
  std::vector<std::string> links;       // "container:alias"
  std::vector<std::string> dns, dns_search, dns_options, extra_hosts;
  std::int64_t memory = 0, memory_swap = 0, memory_reservation = 0,
               shm_size = 64 << 20;  // bytes; 0: unset; swap -1: unlimited
  std::int64_t nano_cpus = 0, pids_limit = 0;
  std::uint64_t cpu_shares = 0;
  std::string cpuset_cpus;
  std::vector<std::string> cap_add, cap_drop, security_opt, devices, group_add;
  std::vector<oci::Rlimit> ulimits;
  std::map<std::string, std::string> labels, sysctls;
  std::string stop_signal;
  std::optional<int> stop_timeout;  // seconds
  std::optional<int> oom_score_adj;
  std::map<std::string, std::string> log_options;  // "max-size", "max-file"
  std::string log_driver = "json-file";            // or "none"
  std::string platform;
  PullPolicy pull = PullPolicy::kMissing;
  friend bool operator==(const ContainerOptions&, const ContainerOptions&) = default;
};

std::string render_options(const ContainerOptions& options);
ContainerOptions parse_options(std::string_view json);
std::string render_labels(const std::map<std::string, std::string>& labels);  // a JSON object

}  // namespace engine
