// linux.intelRdt of real containers, with a directory in the place of /sys/fs/resctrl: few machines
// have that.
#include "runtime/state.h"
#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

class ResctrlContainerTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    root_ = home_ / "resctrl";
    base::make_dirs(root_ / "gold/mon_groups");
    for (const char* name : {"schemata", "tasks", "gold/schemata", "gold/tasks"}) {
      base::write_file(root_ / name, "");
    }
  }

  CreateOptions options() {
    CreateOptions options = make_options();
    options.resctrl_root = root_;
    return options;
  }

  oci::RuntimeSpec spec(const oci::IntelRdt& rdt) const {
    oci::RuntimeSpec spec = make_spec({"sleep", "1000"});
    spec.linux_.intel_rdt = rdt;
    return spec;
  }

  std::string tasks_of(const std::string& group) const {
    return base::read_file(root_ / group / "tasks");
  }

  fs::path root_;
};

TEST_F(ResctrlContainerTest, IsJoinedBeforeTheProgramRuns) {
  const Created created = create(spec({.clos_id = "gold", .enable_monitoring = true}), options());
  EXPECT_EQ(tasks_of("gold"), std::to_string(created.init.pid));
  EXPECT_EQ(tasks_of("gold/mon_groups/one"), std::to_string(created.init.pid));
  EXPECT_EQ(load_record(state_dir("one")).resctrl.monitor, root_ / "gold/mon_groups/one");
  fs::remove(root_ / "gold/mon_groups/one/tasks");  // the kernel's own never hinder rmdir(2)
}

TEST_F(ResctrlContainerTest, ExecJoinsToo) {
  Created created = create(spec({.clos_id = "gold"}), options());
  start(created);
  base::write_file(root_ / "gold/tasks", "");
  EXPECT_EQ(exec_in("one", {"true"}).exit_code, 0);
  EXPECT_FALSE(tasks_of("gold").empty());
}

TEST_F(ResctrlContainerTest, ItsOwnClassGoesWithIt) {
  { const Created created = create(spec({.mem_bw_schema = "MB:0=20"}), options()); }
  EXPECT_EQ(base::read_file(root_ / "one/schemata"), "MB:0=20\n");
  update_resctrl(state_dir("one"), "L3:0=f", "");
  EXPECT_EQ(base::read_file(root_ / "one/schemata"), "MB:0=20\nL3:0=f\n");
  for (const char* file : {"schemata", "tasks"}) fs::remove(root_ / "one" / file);
  remove(state_dir("one"), RemoveMode::kForced);
  EXPECT_FALSE(fs::exists(root_ / "one"));
  EXPECT_TRUE(fs::exists(root_ / "gold"));
}

TEST_F(ResctrlContainerTest, AFailureLeavesNoClass) {
  oci::RuntimeSpec broken = spec({});
  broken.process->args = {"/none"};
  // Nothing was written into it but tasks, which the kernel's directory would not count.
  EXPECT_THROW(create(broken, options()), base::Error);
  fs::remove(root_ / "one/tasks");
  EXPECT_NO_THROW(remove(state_dir("one"), RemoveMode::kForced));
  EXPECT_FALSE(fs::exists(root_ / "one"));
}

TEST_F(ResctrlContainerTest, WithoutResctrlNothingIsMade) {
  CreateOptions none = options();
  none.resctrl_root = "";
  const std::string error =
      error_of([&] { create(spec({}), none); }, base::ErrorKind::kUnsupported);
  EXPECT_NE(error.find("linux.intelRdt"), std::string::npos) << error;
  EXPECT_FALSE(fs::exists(state_dir("one")));
}

}  // namespace
}  // namespace runtime
