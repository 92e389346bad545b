// ContainerFlags: the flags that `run` and `create` share, and how their text becomes
// ContainerOptions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/network_flags.h"
#include "cli/resource_flags.h"
#include "engine/options.h"

namespace cli {

// The texts as given; flags() binds them, to_options() reads them. Lives as long as the flags do.
class ContainerFlags {
 public:
  std::vector<Flag> flags();
  // Reads env files, resolves bare -e names from the environment. Throws base::Error (kInvalid)
  // with docker's words.
  engine::ContainerOptions to_options(const std::vector<std::string>& image_and_command) const;

  std::string cidfile, detach_keys = "ctrl-p,ctrl-q";
  bool quiet = false;

 private:
  std::vector<Flag> identity_flags();
  std::vector<Flag> resource_flags();
  std::vector<Flag> isolation_flags();
  void check_engine_flags() const;
  std::vector<Flag> life_flags();
  std::optional<oci::HealthCheck> health_check() const;

  NetworkFlags network_flags_;
  engine::ContainerOptions options_;  // what needs no reading
  std::optional<std::string> entrypoint_, stop_timeout_;
  std::optional<int> oom_score_adj_;
  ResourceFlags resources_;
  std::string shm_size_, pull_ = "missing";
  std::vector<std::string> env_, env_files_, volumes_, mounts_, tmpfs_, ports_, expose_, ulimits_,
      labels_, label_files_, sysctls_, log_options_, annotations_, uid_maps_, gid_maps_;
  std::string volume_driver_, gpus_, isolation_, runtime_;
  bool unused_ = false;  // of flags that docker has kept without a meaning
  std::string restart_ = "no", health_cmd_, health_interval_, health_timeout_, health_start_period_,
              health_start_interval_, health_on_failure_ = "none";
  int health_retries_ = 0;
  bool no_health_check_ = false;
};

// The parts, each with docker's error words.
std::vector<std::string> split_text(const std::string& text, char separator);  // empty parts, too
engine::MountOption parse_volume(const std::string& text);                     // -v
engine::MountOption parse_mount(const std::string& text);                      // --mount
oci::IdMapping parse_id_mapping(const std::string& text);  // --uidmap 0:100000:65536
engine::MountOption parse_tmpfs(const std::string& text);  // --tmpfs
// One program, or podman's JSON list of it and its arguments; empty: none.
std::vector<std::string> parse_entrypoint(const std::string& text);
std::vector<engine::PortOption> parse_ports(const std::string& text);  // -p, ranges expanded
oci::Rlimit parse_ulimit(const std::string& text);                     // nofile=1024:2048
// Lines of an env or label file; a bare NAME takes the caller's variable where it is set.
std::vector<std::string> read_env_file(const std::string& path);
std::vector<std::string> resolve_env(const std::vector<std::string>& entries);

}  // namespace cli
