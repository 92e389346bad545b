// Each field of config.json that the kernel keeps for a process, seen from inside.
#include <sys/sysmacros.h>
#include <sys/time.h>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using base::ErrorKind;

class FieldsTest : public ContainerTest {
 protected:
  std::string output_of(const oci::RuntimeSpec& spec) { return run(spec, make_options()).output; }
  // The file of /proc/<pid> of a program that waits in a container of this spec.
  std::string proc_file_of(const oci::RuntimeSpec& spec, const std::string& name) {
    const Created created = create(spec, make_options("waiting"));
    return base::read_file("/proc/" + std::to_string(created.init.pid) + "/" + name);
  }
  // Field `number` of /proc/<pid>/stat; the name of the program is ours and has no blanks.
  static std::string stat_field(const std::string& stat, int number) {
    std::size_t begin = 0;
    for (int i = 1; i < number; ++i) begin = stat.find(' ', begin) + 1;
    return stat.substr(begin, stat.find(' ', begin) - begin);
  }
};

TEST_F(FieldsTest, Scheduler) {
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.process->scheduler = oci::Scheduler{.policy = "SCHED_BATCH", .nice = 7};
  const std::string stat = proc_file_of(spec, "stat");
  EXPECT_EQ(stat_field(stat, 41), "3");  // policy: SCHED_BATCH
  EXPECT_EQ(stat_field(stat, 19), "7");  // nice
}

TEST_F(FieldsTest, RealtimeScheduler) {
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.process->scheduler = oci::Scheduler{.policy = "SCHED_RR", .priority = 9};
  std::string stat;
  const std::string error = error_of([&] { stat = proc_file_of(spec, "stat"); });
  if (!error.empty()) {  // a cgroup without real-time runtime refuses it, by the field's name
    EXPECT_NE(error.find("process.scheduler"), std::string::npos) << error;
    return;
  }
  EXPECT_EQ(stat_field(stat, 41), "2");
  EXPECT_EQ(stat_field(stat, 40), "9");
}

TEST_F(FieldsTest, IoPriority) {
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.process->io_priority = oci::IoPriority{.io_class = "IOPRIO_CLASS_BE", .priority = 6};
  const Created created = create(spec, make_options());
  constexpr int kOfProcess = 1;
  EXPECT_EQ(syscall(SYS_ioprio_get, kOfProcess, created.init.pid), 2 << 13 | 6);
}

TEST_F(FieldsTest, Personality) {
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.linux_.personality = oci::Personality{.domain = "LINUX32", .flags = {}};
  EXPECT_EQ(proc_file_of(spec, "personality"), "00000008\n");
  oci::RuntimeSpec shown = make_spec({"busybox", "uname", "-m"});
  shown.linux_.personality = spec.linux_.personality;
  EXPECT_EQ(output_of(shown), "i686\n");
}

TEST_F(FieldsTest, MemoryPolicy) {
  oci::RuntimeSpec spec = make_spec({"grep", "-c", "bind:0", "/proc/self/numa_maps"});
  spec.linux_.memory_policy = oci::MemoryPolicy{.mode = "MPOL_BIND", .nodes = "0", .flags = {}};
  const std::string output = output_of(spec);
  EXPECT_NE(output, "0\n");
  spec.linux_.memory_policy->nodes = "1000";
  EXPECT_NE(error_of([&] { output_of(spec); }).find("linux.memoryPolicy"), std::string::npos);
}

TEST_F(FieldsTest, TimeOffsets) {
  oci::RuntimeSpec spec = make_spec({"cat", "/proc/uptime", "/proc/self/timens_offsets"});
  spec.linux_.namespaces.push_back({.type = oci::NamespaceType::kTime, .path = {}});
  spec.linux_.time_offsets = {{"boottime", {.seconds = 1'000'000'000, .nanoseconds = 0}},
                              {"monotonic", {.seconds = 86400, .nanoseconds = 5}}};
  const std::string output = output_of(spec);
  EXPECT_GT(std::atof(output.c_str()), 999'999'999.0) << output;
  EXPECT_NE(output.find("monotonic       86400"), std::string::npos) << output;
  // Without offsets it is made by the clone alone.
  spec.linux_.time_offsets.clear();
  EXPECT_NE(output_of(spec), "");
}

TEST_F(FieldsTest, ATimeNamespaceThatIsJoined) {
  oci::RuntimeSpec first = make_spec({"sleep", "1000"});
  first.linux_.namespaces.push_back({.type = oci::NamespaceType::kTime, .path = {}});
  first.linux_.time_offsets = {{"boottime", {.seconds = 1'000'000'000}}};
  Created created = create(first, make_options());
  start(created);
  oci::RuntimeSpec second = make_spec({"cat", "/proc/uptime"});
  second.linux_.namespaces.push_back(
      {.type = oci::NamespaceType::kTime,
       .path = "/proc/" + std::to_string(created.init.pid) + "/ns/time"});
  CreateOptions options = make_options("two");
  for (const char* folder : {"upper2", "work2"}) fs::create_directory(home_ / folder);
  options.overlay->upper = home_ / "upper2";
  options.overlay->work = home_ / "work2";
  EXPECT_GT(std::atof(run(second, options).output.c_str()), 999'999'999.0);
}

TEST_F(FieldsTest, EveryNamespaceByPath) {
  Created created = start_sleeper();
  const std::string folder = "/proc/" + std::to_string(created.init.pid) + "/ns/";
  using enum oci::NamespaceType;
  const std::pair<oci::NamespaceType, const char*> kinds[] = {
      {kPid, "pid"}, {kNetwork, "net"}, {kIpc, "ipc"}, {kUts, "uts"}, {kCgroup, "cgroup"}};
  oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
  spec.hostname.clear();
  spec.linux_.namespaces = {{.type = kMount, .path = {}}};
  for (const auto& [type, name] : kinds) {
    spec.linux_.namespaces.push_back({.type = type, .path = folder + name});
  }
  CreateOptions options = make_options("two");
  for (const char* name : {"upper2", "work2"}) fs::create_directory(home_ / name);
  options.overlay->upper = home_ / "upper2";
  options.overlay->work = home_ / "work2";
  const Created second = create(spec, options);
  for (const auto& [type, name] : kinds) {
    EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(second.init.pid) + "/ns/" + name),
              fs::read_symlink(folder + name));
  }
  // The first one's end waits for whoever is in its pid namespace.
  remove(state_dir("two"), RemoveMode::kForced);
  waitpid(second.init.pid, nullptr, 0);
}

TEST_F(FieldsTest, AMountNamespaceByPath) {
  // One that somebody has made with the host's tree in it.
  int ends[2] = {-1, -1};
  base::check(pipe2(ends, O_CLOEXEC), "pipe");
  const pid_t holder = fork();
  if (holder == 0) {
    base::check(unshare(CLONE_NEWNS), "unshare");
    base::write_all(ends[1], "x");
    ::pause();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(ends[0], &byte, 1), 1);
  const std::string path = "/proc/" + std::to_string(holder) + "/ns/mnt";
  oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
  spec.linux_.namespaces[0].path = path;
  {
    const Created created = create(spec, make_options());
    EXPECT_EQ(fs::read_symlink("/proc/" + std::to_string(created.init.pid) + "/ns/mnt"),
              fs::read_symlink(path));
  }
  kill(holder, SIGKILL);
  waitpid(holder, nullptr, 0);
}

TEST_F(FieldsTest, AnExecsOwnSettings) {
  start_sleeper();
  oci::RuntimeSpec spec = make_spec({"cat", "/proc/self/oom_score_adj", "/proc/self/status"});
  oci::Process process = *spec.process;
  process.oom_score_adj = 321;
  process.exec_cpu_affinity = oci::CpuAffinity{.before = "0-1", .after = "0"};
  const std::string output = exec_in("one", spec, process).output;
  EXPECT_TRUE(output.starts_with("321\n")) << output;
  EXPECT_NE(output.find("Cpus_allowed_list:\t0\n"), std::string::npos) << output;
}

// This kernel has neither; where one has, the profile is written as plan_fields_test.cc shows.
TEST_F(FieldsTest, LabelsWithoutTheirModuleAreRefusedByName) {
  if (fs::exists("/sys/module/apparmor") || fs::exists("/sys/fs/selinux/status")) {
    GTEST_SKIP() << "this host has one";
  }
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.process->apparmor_profile = "docker-default";
  EXPECT_EQ(error_of([&] { output_of(spec); }, ErrorKind::kUnsupported),
            "process.apparmorProfile: this host has no AppArmor");
  spec.process->apparmor_profile = "unconfined";
  spec.process->selinux_label = "a:b:c:s0";
  EXPECT_EQ(error_of([&] { output_of(spec); }, ErrorKind::kUnsupported),
            "process.selinuxLabel: this host has no SELinux");
  spec.process->selinux_label.clear();
  spec.linux_.mount_label = "a:b:c:s0";
  EXPECT_EQ(error_of([&] { output_of(spec); }, ErrorKind::kUnsupported),
            "linux.mountLabel: this host has no SELinux");
  spec.linux_.mount_label.clear();
  EXPECT_EQ(run(spec, make_options()).exit_code, 0);
}

}  // namespace
}  // namespace runtime
