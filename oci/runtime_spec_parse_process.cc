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

Scheduler parse_scheduler(const JsonValue& value) {
  Scheduler scheduler;
  scheduler.policy = value["policy"].string();
  value["nice"].read(scheduler.nice);
  value["priority"].read(scheduler.priority);
  value["flags"].read(scheduler.flags);
  value["runtime"].read(scheduler.runtime);
  value["deadline"].read(scheduler.deadline);
  value["period"].read(scheduler.period);
  return scheduler;
}

IoPriority parse_io_priority(const JsonValue& value) {
  IoPriority priority{.io_class = value["class"].string()};
  value["priority"].read(priority.priority);
  return priority;
}

CpuAffinity parse_cpu_affinity(const JsonValue& value) {
  CpuAffinity affinity;
  value["initial"].read(affinity.before);
  value["final"].read(affinity.after);
  return affinity;
}

}  // namespace

Process parse_process(const JsonValue& value) {
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
  if (value["scheduler"].exists()) process.scheduler = parse_scheduler(value["scheduler"]);
  if (value["ioPriority"].exists()) process.io_priority = parse_io_priority(value["ioPriority"]);
  if (const JsonValue affinity = value["execCPUAffinity"]; affinity.exists()) {
    process.exec_cpu_affinity = parse_cpu_affinity(affinity);
  }
  return process;
}

}  // namespace oci
