// Every config.json that is accepted reads back as itself, and is planned or refused in one line.
#include "oci/runtime_spec.h"
#include "runtime/plan.h"
#include "tests/fuzz/check.h"

namespace {

runtime::HostFacts make_host(bool privileged) {
  runtime::HostFacts host;
  host.known_capabilities = (1ULL << 41U) - 1;
  host.held_capabilities = privileged ? host.known_capabilities : 0;
  host.may_raise_limits = privileged;
  host.hard_limits.assign(16, 1000);
  host.apparmor_file = "attr/exec";
  host.has_selinux = true;
  return host;
}

runtime::CgroupHost make_cgroups(bool v2) {
  runtime::CgroupHost host;
  if (v2) {
    host.layout = runtime::CgroupLayout::kV2;
    host.v2 = {.mount_point = "/sys/fs/cgroup",
               .controllers = {"cpu", "cpuset", "memory", "pids", "io", "hugetlb", "rdma"},
               .own_path = "/user"};
    return host;
  }
  host.layout = runtime::CgroupLayout::kV1;
  for (const char* name : {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "rdma", "devices",
                           "freezer", "net_cls", "net_prio"}) {
    host.v1.push_back({.mount_point = std::string("/sys/fs/cgroup/") + name,
                       .controllers = {name},
                       .own_path = "/"});
  }
  return host;
}

runtime::CreateOptions make_options(bool overlay) {
  runtime::CreateOptions options;
  options.id = "one";
  options.bundle = "/bundle";
  options.state_dir = "/run/one";
  if (overlay) {
    options.overlay = {.lower = {"/b", "/a"}, .upper = "/upper", .work = "/work"};
  }
  return options;
}

// Nothing but an Error comes out, and its text is one line.
template <class Action>
void plan_or_refuse(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    FUZZ_CHECK(error.what()[0] != '\0');
  }
}

void plan_everything(const oci::RuntimeSpec& spec) {
  std::optional<runtime::SeccompProgram> filter;
  if (spec.linux_.seccomp) {
    plan_or_refuse([&] { filter = runtime::compile_seccomp(*spec.linux_.seccomp); });
  }
  for (const bool choice : {false, true}) {
    const runtime::CgroupHost cgroups = make_cgroups(choice);
    runtime::CgroupPlan groups;
    plan_or_refuse([&] {
      const std::string& path = spec.linux_.cgroups_path;
      groups = runtime::plan_cgroups(path.empty() ? "/sampan/one" : path, spec.linux_.resources,
                                     cgroups);
      FUZZ_CHECK(!runtime::render(groups).empty());
    });
    runtime::HostFacts host = make_host(choice);
    host.cgroup_layout = cgroups.layout;
    host.cgroup_v1 = cgroups.v1;
    plan_or_refuse([&] {
      const runtime::Plan plan = runtime::plan_create(spec, make_options(choice), groups,
                                                      filter ? &*filter : nullptr, host);
      FUZZ_CHECK(plan.steps.back().kind == runtime::StepKind::kExec);
      FUZZ_CHECK(!runtime::render(plan).empty());
    });
    plan_or_refuse([&] {
      if (!spec.process) return;
      const runtime::ExecTarget target{.has_user_namespace = choice};
      FUZZ_CHECK(!runtime::render(runtime::plan_exec(spec, *spec.process, target, {},
                                                     filter ? &*filter : nullptr, host))
                      .empty());
    });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(data, size);
  try_parse([&] {
    const oci::RuntimeSpec spec = oci::parse_runtime_spec(text);
    FUZZ_CHECK(oci::parse_runtime_spec(oci::render_runtime_spec(spec)) == spec);
    plan_everything(spec);
  });
  try_parse([&] { oci::parse_process(text); });
  return 0;
}
