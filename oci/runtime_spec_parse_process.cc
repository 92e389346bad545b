#include <utility>

#include "base/text.h"
#include "oci/runtime_spec_json.h"

namespace oci {
namespace {

User parse_user(const JsonValue& value) {
  User user;
  value["uid"].read(user.uid);
  value["gid"].read(user.gid);
  value["umask"].read(user.umask);
  value["additionalGids"].read(user.additional_gids);
  return user;
}

Capabilities parse_capabilities(const JsonValue& value) {
  Capabilities capabilities;
  value["bounding"].read(capabilities.bounding);
  value["effective"].read(capabilities.effective);
  value["inheritable"].read(capabilities.inheritable);
  value["permitted"].read(capabilities.permitted);
  value["ambient"].read(capabilities.ambient);
  return capabilities;
}

// A type that is named twice must be an error (config.md, POSIX process).
std::vector<Rlimit> parse_rlimits(const JsonValue& value) {
  std::vector<Rlimit> limits;
  for (const JsonValue& element : value.elements()) {
    Rlimit limit;
    limit.type = element["type"].string();
    limit.soft = element["soft"].integer<std::uint64_t>();
    limit.hard = element["hard"].integer<std::uint64_t>();
    for (const Rlimit& other : limits) {
      if (other.type == limit.type) {
        element.fail("\"" + base::printable(limit.type, 40) + "\" is set twice");
      }
    }
    limits.push_back(std::move(limit));
  }
  return limits;
}

ConsoleSize parse_console_size(const JsonValue& value) {
  return {.height = value["height"].integer<std::uint16_t>(),
          .width = value["width"].integer<std::uint16_t>()};
}

}  // namespace

Process parse_process(const JsonValue& value) {
  refuse_unsupported(value, {"scheduler", "ioPriority", "execCPUAffinity"});
  Process process;
  value["terminal"].read(process.terminal);
  if (const JsonValue size = value["consoleSize"]; size.exists()) {
    process.console_size = parse_console_size(size);
  }
  process.user = parse_user(value["user"]);
  value["args"].read(process.args);
  if (process.args.empty()) value["args"].fail("must name a program");
  value["env"].read(process.env);
  process.cwd = parse_absolute_path(value["cwd"]);
  if (value["capabilities"].exists()) {
    process.capabilities = parse_capabilities(value["capabilities"]);
  }
  process.rlimits = parse_rlimits(value["rlimits"]);
  value["noNewPrivileges"].read(process.no_new_privileges);
  value["apparmorProfile"].read(process.apparmor_profile);
  value["selinuxLabel"].read(process.selinux_label);
  value["oomScoreAdj"].read(process.oom_score_adj);
  return process;
}

}  // namespace oci
