#include <utility>

#include "oci/runtime_spec_json.h"

namespace oci {
namespace {

void write_root(JsonWriter& json, const Root& root) {
  json.key("root").begin_object().key("path").value(root.path);
  json.member_if("readonly", root.readonly).end_object();
}

void write_mount(JsonWriter& json, const Mount& mount) {
  json.begin_object()
      .key("destination")
      .value(mount.destination)
      .member_unless_empty("type", mount.type)
      .member_unless_empty("source", mount.source)
      .member_unless_empty("options", mount.options);
  write_mappings(json, "uidMappings", mount.uid_mappings);
  write_mappings(json, "gidMappings", mount.gid_mappings);
  json.end_object();
}

void write_hook_list(JsonWriter& json, std::string_view name, const std::vector<Hook>& hooks) {
  if (hooks.empty()) return;
  json.key(name).begin_array();
  for (const Hook& hook : hooks) {
    json.begin_object()
        .key("path")
        .value(hook.path)
        .member_unless_empty("args", hook.args)
        .member_unless_empty("env", hook.env)
        .member("timeout", hook.timeout)
        .end_object();
  }
  json.end_array();
}

void write_hooks(JsonWriter& json, const Hooks& hooks) {
  if (hooks == Hooks()) return;
  json.key("hooks").begin_object();
  write_hook_list(json, "prestart", hooks.prestart);
  write_hook_list(json, "createRuntime", hooks.create_runtime);
  write_hook_list(json, "createContainer", hooks.create_container);
  write_hook_list(json, "startContainer", hooks.start_container);
  write_hook_list(json, "poststart", hooks.poststart);
  write_hook_list(json, "poststop", hooks.poststop);
  json.end_object();
}

void write_user(JsonWriter& json, const User& user) {
  json.key("user").begin_object().key("uid").value(user.uid).key("gid").value(user.gid);
  json.member("umask", user.umask);
  json.member_unless_empty("additionalGids", user.additional_gids).end_object();
}

void write_capabilities(JsonWriter& json, const Capabilities& capabilities) {
  json.key("capabilities")
      .begin_object()
      .member_unless_empty("bounding", capabilities.bounding)
      .member_unless_empty("effective", capabilities.effective)
      .member_unless_empty("inheritable", capabilities.inheritable)
      .member_unless_empty("permitted", capabilities.permitted)
      .member_unless_empty("ambient", capabilities.ambient)
      .end_object();
}

void write_rlimits(JsonWriter& json, const std::vector<Rlimit>& limits) {
  if (limits.empty()) return;
  json.key("rlimits").begin_array();
  for (const Rlimit& limit : limits) {
    json.begin_object().key("type").value(limit.type);
    json.key("hard").value(limit.hard).key("soft").value(limit.soft).end_object();
  }
  json.end_array();
}

void write_console_size(JsonWriter& json, const ConsoleSize& size) {
  json.key("consoleSize").begin_object().key("height").value(size.height);
  json.key("width").value(size.width).end_object();
}

void write_scheduler(JsonWriter& json, const Scheduler& scheduler) {
  json.key("scheduler")
      .begin_object()
      .key("policy")
      .value(scheduler.policy)
      .member("nice", scheduler.nice)
      .member("priority", scheduler.priority)
      .member_unless_empty("flags", scheduler.flags)
      .member("runtime", scheduler.runtime)
      .member("deadline", scheduler.deadline)
      .member("period", scheduler.period)
      .end_object();
}

void write_io_priority(JsonWriter& json, const IoPriority& priority) {
  json.key("ioPriority").begin_object().key("class").value(priority.io_class);
  json.key("priority").value(priority.priority).end_object();
}

void write_cpu_affinity(JsonWriter& json, const CpuAffinity& affinity) {
  json.key("execCPUAffinity")
      .begin_object()
      .member_unless_empty("initial", affinity.before)
      .member_unless_empty("final", affinity.after)
      .end_object();
}

}  // namespace

void write_process(JsonWriter& json, const Process& process) {
  json.begin_object().member_if("terminal", process.terminal);
  if (process.console_size) write_console_size(json, *process.console_size);
  write_user(json, process.user);
  json.key("args").value(process.args).member_unless_empty("env", process.env);
  json.key("cwd").value(process.cwd);
  if (process.capabilities) write_capabilities(json, *process.capabilities);
  write_rlimits(json, process.rlimits);
  json.member_if("noNewPrivileges", process.no_new_privileges)
      .member_unless_empty("apparmorProfile", process.apparmor_profile)
      .member_unless_empty("selinuxLabel", process.selinux_label)
      .member("oomScoreAdj", process.oom_score_adj);
  if (process.scheduler) write_scheduler(json, *process.scheduler);
  if (process.io_priority) write_io_priority(json, *process.io_priority);
  if (process.exec_cpu_affinity) write_cpu_affinity(json, *process.exec_cpu_affinity);
  json.end_object();
}

std::string render_runtime_spec(const RuntimeSpec& spec) {
  JsonWriter json;
  json.reserve(32768);  // one with docker's seccomp profile fits
  json.begin_object().key("ociVersion").value(spec.oci_version);
  if (spec.process) {
    json.key("process");
    write_process(json, *spec.process);
  }
  write_root(json, spec.root);
  json.member_unless_empty("hostname", spec.hostname);
  json.member_unless_empty("domainname", spec.domainname);
  json.key("mounts").begin_array();
  for (const Mount& mount : spec.mounts) write_mount(json, mount);
  json.end_array();
  write_hooks(json, spec.hooks);
  json.member_unless_empty("annotations", spec.annotations).key("linux");
  write_linux(json, spec.linux_);
  return json.end_object().take();
}

}  // namespace oci
