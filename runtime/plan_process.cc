#include <algorithm>
#include <csignal>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <sys/resource.h>

#include "base/error.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

constexpr std::pair<const char*, int> kResources[] = {
    {"RLIMIT_CPU", RLIMIT_CPU},           {"RLIMIT_FSIZE", RLIMIT_FSIZE},
    {"RLIMIT_DATA", RLIMIT_DATA},         {"RLIMIT_STACK", RLIMIT_STACK},
    {"RLIMIT_CORE", RLIMIT_CORE},         {"RLIMIT_RSS", RLIMIT_RSS},
    {"RLIMIT_NPROC", RLIMIT_NPROC},       {"RLIMIT_NOFILE", RLIMIT_NOFILE},
    {"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},   {"RLIMIT_AS", RLIMIT_AS},
    {"RLIMIT_LOCKS", RLIMIT_LOCKS},       {"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
    {"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE}, {"RLIMIT_NICE", RLIMIT_NICE},
    {"RLIMIT_RTPRIO", RLIMIT_RTPRIO},     {"RLIMIT_RTTIME", RLIMIT_RTTIME}};

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr std::uint32_t kNoId = 0xffffffffU;  // "do not change" for setresuid(2)

int resource_number(const std::string& type) {
  for (const auto& [name, number] : kResources) {
    if (type == name) return number;
  }
  throw Error(ErrorKind::kInvalid, "process.rlimits: no such limit " + type);
}

void plan_limits(const oci::Process& process, const HostFacts& host, Plan& plan) {
  for (const oci::Rlimit& limit : process.rlimits) {
    const int number = resource_number(limit.type);
    std::uint64_t soft = limit.soft;
    std::uint64_t hard = limit.hard;
    if (soft > hard) {
      throw Error(ErrorKind::kInvalid, "process.rlimits: " + limit.type + ": soft above hard");
    }
    const auto index = static_cast<std::size_t>(number);
    if (!host.may_raise_limits && index < host.hard_limits.size() &&
        hard > host.hard_limits[index]) {
      hard = host.hard_limits[index];
      soft = std::min(soft, hard);
      plan.decisions.push_back(limit.type + " is " + std::to_string(hard) + " and not " +
                               std::to_string(limit.hard) +
                               ": only CAP_SYS_RESOURCE may raise a limit");
    }
    Step& step = add(plan, StepKind::kRlimit);
    step.number = static_cast<std::uint64_t>(number);
    step.type = limit.type;
    step.value[0] = soft;
    step.value[1] = hard;
  }
}

void check_text(const std::string& text, const char* field) {
  if (text.find('\0') != std::string::npos) {
    throw Error(ErrorKind::kInvalid, std::string(field) + ": a zero byte");
  }
}

void check_process(const oci::Process& process) {
  if (process.args.empty() || process.args.front().empty()) {
    throw Error(ErrorKind::kInvalid, "process.args: no command");
  }
  if (process.cwd.empty() || process.cwd[0] != '/') {
    throw Error(ErrorKind::kInvalid, "process.cwd \"" + process.cwd + "\" is not absolute");
  }
  check_text(process.cwd, "process.cwd");
  for (const std::string& argument : process.args) check_text(argument, "process.args");
  for (const std::string& variable : process.env) check_text(variable, "process.env");
  const oci::User& user = process.user;
  if (user.uid == kNoId || user.gid == kNoId) {
    throw Error(ErrorKind::kInvalid, "process.user: id 4294967295 is not one");
  }
}

// The same rule as for execvp(3).
std::vector<std::string> candidates(const oci::Process& process) {
  const std::string& program = process.args.front();
  if (program.find('/') != std::string::npos) return {program};
  std::string path = kDefaultPath;
  for (const std::string& variable : process.env) {
    if (variable.starts_with("PATH=")) path = variable.substr(5);
  }
  std::vector<std::string> result;
  for (std::size_t begin = 0; begin <= path.size();) {
    const std::size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    result.push_back((folder.empty() ? "." : folder) + "/" + program);
    begin = end + 1;
  }
  return result;
}

std::uint64_t held(const ProcessContext& context) {
  return context.has_user_namespace ? context.host->known_capabilities
                                    : context.host->held_capabilities;
}

// Without capabilities in the spec the process keeps none beyond what its user id brings.
CapabilitySets capabilities_of(const oci::Process& process, const ProcessContext& context) {
  return plan_capabilities(process.capabilities.value_or(oci::Capabilities()), held(context));
}

void add_capabilities(Plan& plan, const CapabilitySets& sets, std::uint64_t extra) {
  Step& step = add(plan, StepKind::kCapabilities);
  step.value[0] = sets.effective | extra;
  step.value[1] = sets.permitted | extra;
  step.value[2] = sets.inheritable;
  if (extra != 0) step.note = "CAP_SYS_ADMIN until the filter is in place";
}

void add_ambient(Plan& plan, const CapabilitySets& sets) {
  if (sets.ambient != 0) add(plan, StepKind::kAmbient).number = sets.ambient;
}

bool loads_filter_early(const oci::Process& process, const ProcessContext& context) {
  return context.filter != nullptr && !process.no_new_privileges;
}

void add_filter(Plan& plan, const SeccompProgram& filter) {
  Step& step = add(plan, StepKind::kSeccomp);
  step.data.assign(reinterpret_cast<const char*>(filter.instructions.data()),
                   filter.instructions.size() * sizeof(BpfInstruction));
  step.flags = filter.flags;
}

}  // namespace

void plan_streams(const oci::Process& process, int preserve_fds, Plan& plan) {
  add(plan, StepKind::kStdio).uid = process.user.uid;
  add(plan, StepKind::kCloseFds).number = 3 + static_cast<std::uint64_t>(preserve_fds);
}

void plan_user(const oci::Process& process, const ProcessContext& context, Plan& plan) {
  check_process(process);
  plan.argv = process.args;
  plan.envp = process.env;
  plan_limits(process, *context.host, plan);
  if (context.settings != nullptr) plan_scheduling(process, *context.settings, plan);
  if (!context.keyring.empty()) add(plan, StepKind::kKeyring).source = context.keyring;
  plan_streams(process, context.preserve_fds, plan);
  add(plan, StepKind::kWorkingDir).target = process.cwd;
  const CapabilitySets sets = capabilities_of(process, context);
  add(plan, StepKind::kBounding).number = sets.bounding;
  Step& user = add(plan, StepKind::kUser);
  user.uid = process.user.uid;
  user.gid = process.user.gid;
  if (context.has_user_namespace) user.flags |= kTolerant;
  const std::vector<std::uint32_t>& groups = process.user.additional_gids;
  user.data.assign(reinterpret_cast<const char*>(groups.data()), groups.size() * sizeof groups[0]);
  add(plan, StepKind::kWorkingDirUser).target = process.cwd;
  add(plan, StepKind::kUmask).mode = process.user.umask.value_or(0022);
  if (process.no_new_privileges) add(plan, StepKind::kNoNewPrivileges);
  const bool early = loads_filter_early(process, context);
  // Loading a filter without no_new_privs takes CAP_SYS_ADMIN; see seccomp(2).
  add_capabilities(plan, sets, early ? held(context) & (1ULL << CAP_SYS_ADMIN) : 0);
  if (!early) add_ambient(plan, sets);
  if (context.die_with_parent) {  // after the ids: their change clears it, see prctl(2)
    add(plan, StepKind::kParentDeath).number = SIGKILL;
  }
  Step& find = add(plan, StepKind::kFindProgram);
  find.target = process.args.front();
  find.words = candidates(process);
}

void plan_filter(const oci::Process& process, const ProcessContext& context, Plan& plan) {
  if (context.filter != nullptr) add_filter(plan, *context.filter);
  if (loads_filter_early(process, context)) {
    const CapabilitySets sets = capabilities_of(process, context);
    add_capabilities(plan, sets, 0);
    add_ambient(plan, sets);
  }
}

}  // namespace runtime
