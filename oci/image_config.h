// ImageConfig: how an image wants to be run and of which layers it is made (image-spec, config.md).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/digest.h"
#include "oci/platform.h"

namespace oci {

struct HealthCheck {
  std::vector<std::string> test;  // {"NONE"}, {"CMD", …}, {"CMD-SHELL", text}
  std::int64_t interval = 0, timeout = 0, start_period = 0, start_interval = 0;  // ns; 0: inherit
  int retries = 0;
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

struct HistoryEntry {
  std::string created, created_by, author, comment;
  bool empty_layer = false;
  friend bool operator==(const HistoryEntry&, const HistoryEntry&) = default;
};

struct ImageConfig {
  Platform platform;
  std::string created;  // RFC 3339 as written; empty where absent
  std::string author;
  // config
  std::string user, working_dir, stop_signal;
  std::vector<std::string> env, entrypoint, cmd, shell;
  bool args_escaped = false;
  std::vector<std::string> exposed_ports;  // "80/tcp", sorted
  std::vector<std::string> volumes;        // sorted
  std::vector<std::string> on_build;       // instructions, for who builds on this image
  std::map<std::string, std::string> labels;
  std::optional<HealthCheck> health_check;
  // rootfs, history
  std::vector<DiffId> diff_ids;
  std::vector<HistoryEntry> history;
  friend bool operator==(const ImageConfig&, const ImageConfig&) = default;
};

// At most kMaxConfigBytes, depth-limited, duplicate keys refused, optional fields may be null;
// rootfs.type must be "layers". An Env entry that is not NAME=VALUE is refused. Throws kInvalid.
ImageConfig parse_image_config(std::string_view json);
// The same value always gives the same bytes; parse(render(x)) == x.
std::string render_image_config(const ImageConfig& config);

}  // namespace oci
