// Every further field of config.json: what it becomes in the plan, and who refuses it by name.
#include <sched.h>

#include "tests/runtime/plan_fixture.h"

namespace runtime {
namespace {

oci::RuntimeSpec with_user_namespace(oci::RuntimeSpec spec) {
  spec.linux_.namespaces.push_back({.type = NamespaceType::kUser, .path = {}});
  spec.linux_.uid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  spec.linux_.gid_mappings = spec.linux_.uid_mappings;
  return spec;
}

std::string line_of(const Plan& plan, StepKind kind) {
  const int at = position(plan, kind);
  return at < 0 ? "none" : describe(plan.steps[static_cast<std::size_t>(at)]);
}

TEST(PlanFields, Settings) {
  oci::RuntimeSpec spec = make_spec();
  oci::Process& process = *spec.process;
  process.scheduler =
      oci::Scheduler{.policy = "SCHED_FIFO", .priority = 7, .flags = {"SCHED_FLAG_RESET_ON_FORK"}};
  process.io_priority = oci::IoPriority{.io_class = "IOPRIO_CLASS_BE", .priority = 3};
  process.apparmor_profile = "docker-default";
  process.selinux_label = "system_u:system_r:container_t:s0";
  spec.linux_.mount_label = "system_u:object_r:container_file_t:s0";
  spec.linux_.personality = oci::Personality{.domain = "LINUX32", .flags = {}};
  spec.linux_.memory_policy =
      oci::MemoryPolicy{.mode = "MPOL_BIND", .nodes = "0-1", .flags = {"MPOL_F_STATIC_NODES"}};
  spec.linux_.namespaces.push_back({.type = NamespaceType::kTime, .path = {}});
  spec.linux_.time_offsets = {{"boottime", {.seconds = 86400, .nanoseconds = 5}},
                              {"monotonic", {.seconds = -7}}};
  HostFacts host = make_host();
  host.apparmor_file = "attr/apparmor/exec";
  host.has_selinux = true;
  expect_golden("plan_settings", render(plan_of(spec, make_options(), host)));
}

TEST(PlanFields, SettingsOfAnExec) {
  oci::RuntimeSpec spec = make_spec();
  spec.linux_.personality = oci::Personality{.domain = "LINUX", .flags = {}};
  oci::Process process = *spec.process;
  process.exec_cpu_affinity = oci::CpuAffinity{.before = "0-1", .after = "1"};
  process.oom_score_adj = 500;
  process.scheduler = oci::Scheduler{.policy = "SCHED_BATCH", .nice = 5};
  process.apparmor_profile = "unconfined";
  expect_golden("plan_exec_settings",
                render(plan_exec(spec, process, {.task_files = make_cgroups().task_files}, {},
                                 nullptr, make_host())));
}

TEST(PlanFields, MountOptions) {
  oci::RuntimeSpec spec = make_spec();
  spec.mounts.push_back({"/copied", "tmpfs", "tmpfs", {"tmpcopyup", "rro", "silent"}});
  spec.mounts.push_back({"/below", "bind", "/srv", {"rbind", "rro", "rnosuid", "rnoatime"}});
  spec.mounts.push_back({"/links", "bind", "/srv", {"bind", "nosymfollow", "rslave"}});
  spec.mounts.push_back({"/mapped",
                         "none",
                         "/srv",
                         {"bind", "ridmap"},
                         {{.container_id = 0, .host_id = 7, .size = 1}},
                         {{.container_id = 0, .host_id = 8, .size = 1}}});
  spec.mounts.push_back({"/copied", "", "", {"remount", "size=1m", "noexec"}});
  spec.mounts.push_back({"/second", "cgroup2", "cgroup", {"ro"}});
  expect_golden("plan_mount_options", render(plan_of(spec)));
}

TEST(PlanFields, AUserNamespaceMapsTheLayersOfItsRoot) {
  oci::RuntimeSpec spec = with_user_namespace(make_spec());
  spec.mounts.push_back({"/data", "bind", "/srv", {"bind", "idmap"}});
  expect_golden("plan_user_namespace", render(plan_of(spec)));
}

TEST(PlanFields, NumberLists) {
  EXPECT_EQ(parse_number_mask("0-3,7", "x"), std::string("\x8f\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(parse_number_mask("64", "x"),
            std::string(8, '\0') + std::string("\1\0\0\0\0\0\0\0", 8));
  for (const char* bad : {"", ",", "1,", "a", "-1", "3-1", "1-", "1 ", "99999999999", "8192"}) {
    EXPECT_THROW(parse_number_mask(bad, "x"), base::Error) << bad;
  }
}

TEST(PlanFields, AMountNamespaceByPathIsJoined) {
  oci::RuntimeSpec spec = make_spec();
  spec.linux_.namespaces[0].path = "/proc/7/ns/mnt";
  const Plan plan = plan_of(spec);
  EXPECT_EQ(plan.clone_flags & CLONE_NEWNS, 0U);
  EXPECT_EQ(line_of(plan, StepKind::kSetNamespace), "join namespace mount at /proc/7/ns/mnt");
}

TEST(PlanFields, WhatContradictsItselfIsRefusedByName) {
  const std::pair<void (*)(oci::RuntimeSpec&), const char*> cases[] = {
      {[](auto& spec) { spec.process->scheduler = oci::Scheduler{.policy = "SCHED_ISO"}; },
       "process.scheduler.policy: \"SCHED_ISO\" is not known"},
      {[](auto& spec) {
         spec.process->scheduler = oci::Scheduler{.policy = "SCHED_OTHER", .priority = 1};
       },
       "process.scheduler.priority: has no meaning with SCHED_OTHER"},
      {[](auto& spec) {
         spec.process->scheduler = oci::Scheduler{.policy = "SCHED_RR", .nice = 1};
       },
       "process.scheduler.nice: has no meaning with SCHED_RR"},
      {[](auto& spec) {
         spec.process->scheduler = oci::Scheduler{.policy = "SCHED_OTHER", .runtime = 1};
       },
       "process.scheduler.runtime, deadline and period: has no meaning with SCHED_OTHER"},
      {[](auto& spec) {
         spec.process->scheduler = oci::Scheduler{.policy = "SCHED_OTHER", .nice = 20};
       },
       "process.scheduler.nice: 20 is not from -20 to 19"},
      {[](auto& spec) {
         spec.process->scheduler = oci::Scheduler{.policy = "SCHED_OTHER", .flags = {"X"}};
       },
       "process.scheduler.flags: \"X\" is not known"},
      {[](auto& spec) {
         spec.process->io_priority = oci::IoPriority{.io_class = "IOPRIO_CLASS_NONE"};
       },
       "process.ioPriority.class: \"IOPRIO_CLASS_NONE\" is not known"},
      {[](auto& spec) {
         spec.process->io_priority = oci::IoPriority{.io_class = "IOPRIO_CLASS_BE", .priority = 8};
       },
       "process.ioPriority.priority: 8 is not from 0 to 7"},
      {[](auto& spec) {
         spec.linux_.personality = oci::Personality{.domain = "LINUX", .flags = {"X"}};
       },
       "linux.personality.flags: the specification has none"},
      {[](auto& spec) { spec.linux_.personality = oci::Personality{.domain = "BSD"}; },
       "linux.personality.domain: \"BSD\" is not known"},
      {[](auto& spec) { spec.linux_.memory_policy = oci::MemoryPolicy{.mode = "X"}; },
       "linux.memoryPolicy.mode: \"X\" is not known"},
      {[](auto& spec) {
         spec.linux_.memory_policy = oci::MemoryPolicy{.mode = "MPOL_BIND", .nodes = "x"};
       },
       "linux.memoryPolicy.nodes: \"x\" is not a list of numbers like 0-3,7"},
      {[](auto& spec) {
         spec.linux_.time_offsets = {{"boottime", {.seconds = 1}}};
       },
       "linux.timeOffsets: only a new time namespace has offsets"},
      {[](auto& spec) { spec.linux_.mount_label = "x"; },
       "linux.mountLabel: this host has no SELinux"},
      {[](auto& spec) {
         spec.mounts.push_back({"/x", "proc", "proc", {"tmpcopyup"}});
       },
       "mount on /x: tmpcopyup is for a tmpfs"},
      {[](auto& spec) {
         spec.mounts.push_back({"/x", "tmpfs", "tmpfs", {"idmap"}});
       },
       "mount on /x: only a bind can have its ids mapped"},
      {[](auto& spec) {
         spec.mounts.push_back({"/x", "bind", "/y", {"bind", "idmap"}});
       },
       "mount on /x: idmap without uidMappings, and the container has no user namespace"},
      {[](auto& spec) {
         spec.mounts.push_back({"/x", "bind", "/y", {"bind"}, {{.size = 1}}});
       },
       "mount on /x: uidMappings and gidMappings come together"},
      {[](auto& spec) {
         spec.mounts.push_back({"/x", "bind", "/y", {"bind", "idmap=uids=0-1-2"}});
       },
       "mount option \"idmap=uids=0-1-2\""},
      {[](auto& spec) {
         spec.mounts.push_back({"/x", "bind", "/y", {"bind", "copy-symlink"}});
       },
       "mount option \"copy-symlink\""},
  };
  for (const auto& [change, text] : cases) {
    oci::RuntimeSpec spec = make_spec();
    change(spec);
    EXPECT_EQ(error_of(spec), text);
  }
}

}  // namespace
}  // namespace runtime
