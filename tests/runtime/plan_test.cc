#include "runtime/plan.h"

#include <sched.h>
#include <sys/resource.h>

#include "tests/runtime/plan_fixture.h"

namespace runtime {
namespace {

TEST(Plan, OfADockerLikeContainer) { expect_golden("plan_default", render(plan_of(make_spec()))); }

TEST(Plan, OfABundleWithATerminalAndAPlainUser) {
  oci::RuntimeSpec spec = make_spec();
  spec.root = {.path = "rootfs", .readonly = true};
  spec.process->terminal = true;
  spec.process->console_size = oci::ConsoleSize{.height = 24, .width = 80};
  spec.process->user = {.uid = 1000, .gid = 100, .umask = 0077, .additional_gids = {4, 5}};
  spec.process->cwd = "/work";
  spec.process->no_new_privileges = true;
  spec.process->rlimits = {{.type = "RLIMIT_NOFILE", .soft = 10, .hard = 20}};
  spec.process->capabilities->inheritable = {"CAP_KILL"};
  spec.process->capabilities->ambient = {"CAP_KILL"};
  spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}};
  spec.linux_.devices = {{.path = "/dev/fuse",
                          .type = 'c',
                          .major = 10,
                          .minor = 229,
                          .file_mode = 0600,
                          .uid = 1,
                          .gid = 2}};
  spec.linux_.rootfs_propagation = "rshared";
  spec.mounts.push_back({"/data/", "bind", "data", {"rbind", "ro", "rslave"}});
  spec.mounts.push_back({"/shared", "bind", "/srv", {"bind", "rshared"}});
  CreateOptions options = make_options();
  options.overlay.reset();
  options.die_with_parent = true;
  options.preserve_fds = 2;
  options.configure_network = [](pid_t, int) {};
  expect_golden("plan_bundle", render(plan_of(spec, options)));
}

TEST(Plan, OfAnExec) {
  oci::Process process = *make_spec().process;
  process.terminal = true;
  expect_golden("plan_exec",
                render(plan_exec(make_spec(), process,
                                 {.task_files = make_cgroups().task_files, .keyring = "_ses.one"},
                                 {}, nullptr, make_host())));
}

// What a container could reach must not be there before the step that takes it away.
TEST(Plan, KeepsItsOrder) {
  oci::RuntimeSpec spec = make_spec();
  spec.linux_.sysctl = {{"net.ipv4.ip_forward", "1"}};
  CreateOptions options = make_options();
  options.die_with_parent = true;
  const Plan plan = plan_of(spec, options);
  const StepKind order[] = {StepKind::kUnshare,     StepKind::kSync,        StepKind::kJoinCgroup,
                            StepKind::kSession,     StepKind::kPropagation, StepKind::kRootOverlay,
                            StepKind::kMount,       StepKind::kDevice,      StepKind::kReadonlyPath,
                            StepKind::kMask,        StepKind::kPivot,       StepKind::kSysctl,
                            StepKind::kStdio,       StepKind::kCloseFds,    StepKind::kWorkingDir,
                            StepKind::kBounding,    StepKind::kUser,        StepKind::kCapabilities,
                            StepKind::kParentDeath, StepKind::kFindProgram, StepKind::kGate,
                            StepKind::kSeccomp,     StepKind::kExec};
  int last = -1;
  for (const StepKind kind : order) {
    const int here = position(plan, kind);
    EXPECT_GT(here, last) << static_cast<int>(kind);
    last = here;
  }
  EXPECT_EQ(plan.steps.back().kind, StepKind::kExec);
}

TEST(Plan, AFilterWithNoNewPrivilegesComesLast) {
  oci::RuntimeSpec spec = make_spec();
  EXPECT_EQ(plan_of(spec).steps.rbegin()[2].kind, StepKind::kSeccomp);
  EXPECT_EQ(plan_of(spec).steps.rbegin()[1].kind, StepKind::kCapabilities);
  spec.process->no_new_privileges = true;
  EXPECT_EQ(plan_of(spec).steps.rbegin()[1].kind, StepKind::kSeccomp);
}

TEST(Plan, AnExecIsOutOfSightUntilItHasNoMoreThanTheContainer) {
  const Plan plan = plan_exec(make_spec(), *make_spec().process, {}, {}, nullptr, make_host());
  for (const StepKind kind : {StepKind::kSetNamespace, StepKind::kCloseFds, StepKind::kUser,
                              StepKind::kCapabilities, StepKind::kFindProgram}) {
    EXPECT_LT(position(plan, kind), position(plan, StepKind::kEnterPidNamespace));
  }
}

TEST(Plan, LayersGoOneByOneOrInOneStringOnOldKernels) {
  HostFacts host = make_host();
  EXPECT_GE(position(plan_of(make_spec(), make_options(), host), StepKind::kRootOverlay), 0);
  host.overlay_takes_single_layers = false;
  const Plan plan = plan_of(make_spec(), make_options(), host);
  const int at = position(plan, StepKind::kRootOverlayClassic);
  ASSERT_GE(at, 0);
  EXPECT_EQ(plan.steps[static_cast<std::size_t>(at)].source,
            "lowerdir=/proc/self/fd/200:/proc/self/fd/201,upperdir=/proc/self/fd/202,"
            "workdir=/proc/self/fd/203,index=off,metacopy=off,redirect_dir=nofollow");
  CreateOptions options = make_options();
  options.overlay->lower.resize(400, "/layers/x");
  EXPECT_THROW(plan_of(make_spec(), options, host), base::Error);
}

TEST(Plan, LimitsAreClampedOnlyWhereTheyCannotBeRaised) {
  oci::RuntimeSpec spec = make_spec();
  spec.process->rlimits = {{.type = "RLIMIT_NOFILE", .soft = 5000, .hard = 6000}};
  HostFacts host = make_host();
  host.hard_limits.assign(RLIM_NLIMITS, 1000);
  const auto limit = [&] {
    const Plan plan = plan_of(spec, make_options(), host);
    return plan.steps[static_cast<std::size_t>(position(plan, StepKind::kRlimit))].value[1];
  };
  EXPECT_EQ(limit(), 6000U);
  host.may_raise_limits = false;
  EXPECT_EQ(limit(), 1000U);
  EXPECT_FALSE(plan_of(spec, make_options(), host).decisions.empty());
}

TEST(Plan, NamespacesAreNewOrJoined) {
  oci::RuntimeSpec spec = make_spec();
  EXPECT_EQ(plan_of(spec).clone_flags, static_cast<std::uint64_t>(CLONE_NEWPID));
  EXPECT_EQ(plan_of(spec).steps[0].flags,
            static_cast<std::uint64_t>(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS));
  spec.linux_.namespaces[2].path = "/run/netns/x";
  spec.linux_.namespaces[1].path = "/proc/7/ns/pid";
  const Plan plan = plan_of(spec);
  EXPECT_EQ(plan.clone_flags, 0U);
  EXPECT_EQ(plan.steps[0].flags,
            static_cast<std::uint64_t>(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS));
  EXPECT_EQ(plan.pid_namespace, "/proc/7/ns/pid");
  EXPECT_EQ(plan.steps[4].kind, StepKind::kSetNamespace);
  EXPECT_EQ(plan.steps[4].target, "/run/netns/x");
}

// Where the process has to be born in its group, or in a user namespace, nothing can be made
// beside.
TEST(Plan, NamespacesAreMadeBesideTheCgroupsWhereTheyCan) {
  oci::RuntimeSpec spec = make_spec();
  const Plan early = plan_of(spec);
  EXPECT_TRUE(early.awaits_cgroups);
  EXPECT_EQ(early.steps[1].number, static_cast<std::uint64_t>(SyncPoint::kCgroups));
  CgroupPlan v2;
  v2.clone_into = "/sys/fs/cgroup/sampan/one";
  const Plan born = plan_create(spec, make_options(), v2, nullptr, make_host());
  EXPECT_FALSE(born.awaits_cgroups);
  EXPECT_NE(born.clone_flags & CLONE_NEWNET, 0U);
  spec.linux_.namespaces.push_back({.type = oci::NamespaceType::kUser});
  spec.linux_.uid_mappings =
      spec.linux_.gid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  const Plan mapped = plan_of(spec);
  EXPECT_FALSE(mapped.awaits_cgroups);
  EXPECT_NE(mapped.clone_flags & CLONE_NEWNS, 0U);
}

TEST(Plan, MemoryIsSharedOnlyWhereNobodyCanReachOrEndTheParentThroughIt) {
  EXPECT_TRUE(plan_of(make_spec()).shares_memory);
  const auto shares = [](auto&& change) {
    oci::RuntimeSpec spec = make_spec();
    change(spec);
    return plan_of(spec).shares_memory;
  };
  // Others may trace it: those of the process namespace that it is born into.
  EXPECT_FALSE(shares([](auto& spec) { spec.linux_.namespaces[1].path = "/proc/7/ns/pid"; }));
  EXPECT_FALSE(shares([](auto& spec) {
    std::erase_if(spec.linux_.namespaces,
                  [](const auto& each) { return each.type == oci::NamespaceType::kPid; });
  }));
  // The OOM killer would end the parent with it.
  EXPECT_FALSE(shares([](auto& spec) { spec.linux_.resources.memory.limit = 1 << 20; }));
  EXPECT_TRUE(shares([](auto& spec) { spec.linux_.resources.memory.limit = -1; }));
  EXPECT_FALSE(shares([](auto& spec) { spec.linux_.resources.unified["memory.max"] = "1"; }));
  // The kernel refuses to enter them.
  EXPECT_FALSE(shares(
      [](auto& spec) { spec.linux_.namespaces.push_back({.type = oci::NamespaceType::kTime}); }));
  EXPECT_FALSE(shares([](auto& spec) {
    spec.linux_.namespaces.push_back({.type = oci::NamespaceType::kUser});
    spec.linux_.uid_mappings =
        spec.linux_.gid_mappings = {{.container_id = 0, .host_id = 100000, .size = 65536}};
  }));
}

TEST(Plan, WhatMustNotBeIgnoredIsRefusedByName) {
  const std::pair<void (*)(oci::RuntimeSpec&), const char*> cases[] = {
      {[](auto& spec) { spec.process.reset(); }, "process: missing"},
      {[](auto& spec) { spec.process->args.clear(); }, "process.args: no command"},
      {[](auto& spec) { spec.process->args.push_back(std::string("a\0b", 3)); },
       "process.args: a zero byte"},
      {[](auto& spec) { spec.process->cwd = "tmp"; }, "process.cwd \"tmp\" is not absolute"},
      {[](auto& spec) { spec.process->apparmor_profile = "x"; },
       "process.apparmorProfile: this host has no AppArmor"},
      {[](auto& spec) { spec.process->selinux_label = "x"; },
       "process.selinuxLabel: this host has no SELinux"},
      {[](auto& spec) { spec.process->rlimits = {{.type = "RLIMIT_FUN"}}; },
       "process.rlimits: no such limit RLIMIT_FUN"},
      {[](auto& spec) { spec.linux_.namespaces.push_back(spec.linux_.namespaces[1]); },
       "linux.namespaces: one is there twice"},
      {[](auto& spec) { spec.linux_.namespaces.erase(spec.linux_.namespaces.begin()); },
       "linux.namespaces: the container needs a mount namespace"},
      {[](auto& spec) { spec.linux_.rootfs_propagation = "public"; },
       "linux.rootfsPropagation \"public\""},
      {[](auto& spec) {
         spec.mounts.push_back({"/", "tmpfs", "tmpfs", {}});
       },
       "mount destination is /"},
      {[](auto& spec) {
         spec.mounts.push_back({"/x", "", "x", {}});
       },
       "mount on /x: no type"},
      {[](auto& spec) { spec.linux_.devices = {{.path = "fuse"}}; }, "device path \"fuse\""},
      {[](auto& spec) { spec.linux_.devices = {{.path = "/dev/x", .type = 'z'}}; },
       "device /dev/x: type is c, u, b or p"},
      {[](auto& spec) { spec.linux_.devices = {{.path = "/dev/x", .type = 'c', .major = -1}}; },
       "device /dev/x: no such number"},
      {[](auto& spec) { spec.linux_.masked_paths = {"proc"}; },
       "masked or read-only path \"proc\""},
      {[](auto& spec) {
         spec.linux_.namespaces.push_back({.type = NamespaceType::kUser, .path = {}});
       },
       "linux.uidMappings: a user namespace needs mappings"},
  };
  for (const auto& [change, text] : cases) {
    oci::RuntimeSpec spec = make_spec();
    change(spec);
    EXPECT_EQ(error_of(spec), text);
  }
}

}  // namespace
}  // namespace runtime
