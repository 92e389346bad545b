#include "engine/spec.h"

#include <set>

#include "base/error.h"
#include "engine/process_plan.h"
#include "engine/security_plan.h"
#include "runtime/defaults.h"

namespace engine {
namespace {

std::optional<oci::Seccomp> plan_seccomp(const SpecInput& input, const SecurityOptions& security,
                                         const std::vector<std::string>& capabilities) {
  const std::set<std::string> set(capabilities.begin(), capabilities.end());
  switch (security.seccomp) {
    case SecurityOptions::SeccompMode::kUnconfined:
      return std::nullopt;
    case SecurityOptions::SeccompMode::kFile:
      return runtime::parse_seccomp_profile(security.seccomp_profile, set);
    case SecurityOptions::SeccompMode::kDefault:
      break;
  }
  if (input.options.privileged) return std::nullopt;
  return runtime::default_seccomp(set);
}

oci::Process plan_process(const SpecInput& input, const SecurityOptions& security,
                          const std::vector<std::string>& capabilities,
                          const std::string& hostname) {
  const ContainerOptions& options = input.options;
  const std::string& who = options.user.empty() ? input.image.user : options.user;
  ContainerUser user = plan_user(who, options.group_add, input.user_files);
  oci::Process process;
  process.terminal = options.tty;
  if (options.tty && options.tty_height != 0 && options.tty_width != 0) {
    process.console_size = oci::ConsoleSize{options.tty_height, options.tty_width};
  }
  process.args = plan_arguments(input.image, options);
  if (options.init) {
    process.args.insert(process.args.begin(), {kInitPath, "--"});
  }
  process.env = plan_environment(input.image, options, input.link_environment, hostname, user.home);
  process.cwd = plan_working_dir(input.image, options);
  process.user = {.uid = user.uid,
                  .gid = user.gid,
                  .umask = std::nullopt,
                  .additional_gids = std::move(user.additional_gids)};
  process.capabilities = make_capability_sets(capabilities, user.uid);
  process.rlimits = plan_rlimits(options.ulimits, input.host.limits);
  process.no_new_privileges = security.no_new_privileges;
  if (security.apparmor != "unconfined") process.apparmor_profile = security.apparmor;
  process.oom_score_adj = options.oom_score_adj.value_or(0);
  return process;
}

}  // namespace

std::string plan_hostname(const std::string& id, const ContainerOptions& options,
                          const std::string& host) {
  if (!options.hostname.empty()) return options.hostname;
  if (options.network == NetworkMode::kHost || options.uts_mode == "host") return host;
  return id.substr(0, 12);
}

std::string plan_working_dir(const oci::ImageConfig& image, const ContainerOptions& options) {
  std::string path = options.working_dir.empty() ? image.working_dir : options.working_dir;
  if (path.empty()) return "/";
  if (path[0] != '/') {
    throw base::Error(
        base::ErrorKind::kInvalid,
        "the working directory '" + path + "' is invalid, it needs to be an absolute path");
  }
  return path;
}

oci::RuntimeSpec plan_spec(const SpecInput& input) {
  const ContainerOptions& options = input.options;
  const SecurityOptions security = parse_security_options(options.security_opt);
  const std::vector<std::string> capabilities = plan_capabilities(options, input.host.capabilities);

  oci::RuntimeSpec spec;
  spec.root = {.path = "rootfs", .readonly = options.read_only};
  const std::string hostname = plan_hostname(input.id, options, input.host.hostname);
  if (options.uts_mode != "host") spec.hostname = hostname;
  spec.domainname = options.domainname;
  spec.process = plan_process(input, security, capabilities, hostname);
  JoinedNamespaces joined = input.joined;
  joined.network = input.network_namespace;
  MountPlanInput mounts = input.mounts;
  mounts.uid = spec.process->user.uid;
  mounts.gid = spec.process->user.gid;
  mounts.has_user_namespace = !input.ids.empty();
  mounts.shm_namespace = input.joined.mounts;
  spec.mounts = plan_mounts(options, mounts);
  spec.annotations = options.annotations;
  spec.linux_.namespaces = plan_namespaces(options, joined);
  spec.linux_.uid_mappings = input.ids.uids;
  spec.linux_.gid_mappings = input.ids.gids;
  for (const HostDevice& device : input.host.devices) {
    spec.linux_.devices.push_back(device.node);
  }
  spec.linux_.cgroups_path = input.cgroups_path;
  spec.linux_.resources = plan_resources(options, input.host.devices);
  plan_disk_limits(options.limits, input.host.disks, spec.linux_.resources.block_io);
  spec.linux_.seccomp = plan_seccomp(input, security, capabilities);
  spec.linux_.sysctl = plan_sysctls(options);
  if (!options.privileged && !security.system_paths_unconfined) {
    spec.linux_.masked_paths = runtime::default_masked_paths();
    spec.linux_.readonly_paths = runtime::default_readonly_paths();
  }
  return spec;
}

}  // namespace engine
