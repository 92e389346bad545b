// linux.intelRdt against a directory with the files that the kernel shows below /sys/fs/resctrl.
#include "runtime/resctrl.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "tests/base/temp_dir.h"

namespace runtime {
namespace {

using base::ErrorKind;

constexpr char kSchemata[] = "    L3:0=ffff;1=ffff\n    MB:0=100;1=100\n";

class ResctrlTest : public testing::Test {
 protected:
  ResctrlTest() {
    make_class("");
    for (const auto& [name, text] :
         {std::pair("L3/cbm_mask", "ffff\n"), std::pair("L3/min_cbm_bits", "2\n"),
          std::pair("L3/num_closids", "16\n"), std::pair("MB/bandwidth_gran", "10\n"),
          std::pair("MB/delay_linear", "1\n"), std::pair("MB/min_bandwidth", "10\n"),
          std::pair("MB/num_closids", "8\n"), std::pair("last_cmd_status", "ok\n")}) {
      base::make_dirs((dir_ / "info" / name).parent_path());
      base::write_file(dir_ / "info" / name, text);
    }
  }

  // What mkdir(2) gives there.
  void make_class(const std::string& name) {
    base::make_dirs(dir_ / name / "mon_groups");
    base::write_file(dir_ / name / "schemata", kSchemata);
    base::write_file(dir_ / name / "tasks", "");
  }

  ResctrlPlan plan(const oci::IntelRdt& rdt) const {
    return plan_resctrl(rdt, "one", dir_.path().string());
  }

  static ErrorKind kind_of(const auto& action) {
    try {
      action();
    } catch (const base::Error& error) {
      EXPECT_NE(std::string(error.what()).find("linux.intelRdt"), std::string::npos)
          << error.what();
      return error.kind();
    }
    ADD_FAILURE() << "nothing was thrown";
    return ErrorKind::kSystem;
  }

  std::string text_of(const std::string& name) const { return base::read_file(dir_ / name); }

  TempDir dir_;
};

TEST_F(ResctrlTest, WithoutResctrlItIsRefusedByName) {
  EXPECT_EQ(kind_of([] { plan_resctrl({}, "one", ""); }), ErrorKind::kUnsupported);
}

TEST_F(ResctrlTest, WithoutIdTheClassIsTheContainersOwn) {
  const ResctrlPlan own = plan({.l3_cache_schema = "L3:0=f\nMB:0=1\nL3CODE:0=3",
                                .mem_bw_schema = "MB:0=20",
                                .schemata = {"L2:0=7"}});
  EXPECT_EQ(own.group.class_path, dir_ / "one");
  EXPECT_TRUE(own.group.owns_class);
  // Memory bandwidth among the cache's lines does not count.
  EXPECT_EQ(own.schemata, (std::vector<std::string>{"L3:0=f", "L3CODE:0=3", "MB:0=20", "L2:0=7"}));
  check_resctrl(own);
  apply_resctrl(own);
  EXPECT_EQ(text_of("one/schemata"), "L3:0=f\nL3CODE:0=3\nMB:0=20\nL2:0=7\n");
  join_resctrl(own.group, 42);
  EXPECT_EQ(text_of("one/tasks"), "42");
  EXPECT_EQ(kind_of([&] { check_resctrl(own); }), ErrorKind::kConflict);  // somebody's already
  base::fs::remove(dir_ / "one/schemata");  // the kernel's own files never hinder rmdir(2)
  base::fs::remove(dir_ / "one/tasks");
  remove_resctrl(own.group);
  EXPECT_FALSE(base::fs::exists(dir_ / "one"));
  EXPECT_NO_THROW(remove_resctrl(own.group));
}

TEST_F(ResctrlTest, ASharedClassIsUsedAsItIs) {
  const oci::IntelRdt rdt = {.clos_id = "gold"};
  EXPECT_EQ(kind_of([&] { check_resctrl(plan(rdt)); }), ErrorKind::kNotFound);
  make_class("gold");
  check_resctrl(plan(rdt));
  apply_resctrl(plan(rdt));
  EXPECT_EQ(text_of("gold/schemata"), kSchemata);
  remove_resctrl(plan(rdt).group);
  EXPECT_TRUE(base::fs::exists(dir_ / "gold/tasks"));
}

TEST_F(ResctrlTest, ASharedClassMustHaveTheSameLimits) {
  make_class("gold");
  EXPECT_NO_THROW(check_resctrl(plan({.clos_id = "gold", .l3_cache_schema = "L3:0=ffff;1=ffff"})));
  EXPECT_EQ(kind_of([&] { check_resctrl(plan({.clos_id = "gold", .mem_bw_schema = "MB:0=20"})); }),
            ErrorKind::kConflict);
}

TEST_F(ResctrlTest, ASharedClassIsMadeFromItsLimits) {
  const ResctrlPlan made = plan({.clos_id = "gold", .mem_bw_schema = "MB:0=20"});
  check_resctrl(made);
  apply_resctrl(made);
  EXPECT_EQ(text_of("gold/schemata"), "MB:0=20\n");
  EXPECT_FALSE(made.group.owns_class);  // others may have joined it meanwhile
}

TEST_F(ResctrlTest, TheDefaultClassIsTheRoot) {
  const ResctrlPlan root = plan({.clos_id = "/", .enable_monitoring = true});
  EXPECT_EQ(root.group.class_path, dir_.path());
  EXPECT_EQ(root.group.monitor, dir_ / "mon_groups/one");
}

TEST_F(ResctrlTest, MonitoringHasAGroupOfItsOwn) {
  make_class("gold");
  const ResctrlPlan monitored = plan({.clos_id = "gold", .enable_cmt = true});
  apply_resctrl(monitored);
  join_resctrl(monitored.group, 7);
  EXPECT_EQ(text_of("gold/tasks"), "7");
  EXPECT_EQ(text_of("gold/mon_groups/one/tasks"), "7");
  EXPECT_EQ(kind_of([&] { check_resctrl(monitored); }), ErrorKind::kConflict);
  base::fs::remove(dir_ / "gold/mon_groups/one/tasks");
  remove_resctrl(monitored.group);
  EXPECT_FALSE(base::fs::exists(dir_ / "gold/mon_groups/one"));
}

TEST_F(ResctrlTest, RefusesWhatTheSpecificationForbids) {
  for (const oci::IntelRdt& rdt :
       std::initializer_list<oci::IntelRdt>{{.clos_id = "../etc"},
                                            {.clos_id = ".."},
                                            {.mem_bw_schema = "L3:0=1"},
                                            {.mem_bw_schema = "MB:0=1\nL3:0=1"},
                                            {.schemata = {"L3:0=1\nMB:0=1"}}}) {
    EXPECT_EQ(kind_of([&] { plan(rdt); }), ErrorKind::kInvalid);
  }
}

TEST_F(ResctrlTest, UpdatesOnlyWhatIsNamed) {
  make_class("one");
  base::write_file(dir_ / "one/schemata", "");
  const ResctrlGroup group = plan({}).group;
  update_resctrl(group, "", "MB:0=30");
  EXPECT_EQ(text_of("one/schemata"), "MB:0=30\n");
  EXPECT_THROW(update_resctrl(group, "", "0=30"), base::Error);
  EXPECT_EQ(kind_of([] { update_resctrl(ResctrlGroup(), "L3:0=1", ""); }), ErrorKind::kConflict);
}

TEST_F(ResctrlTest, ReadsWhatIsUsed) {
  make_class("gold");
  for (const char* cache : {"mon_L3_00", "mon_L3_01"}) {
    base::make_dirs(dir_ / "gold/mon_groups/one/mon_data" / cache);
  }
  const std::string data = dir_ / "gold/mon_groups/one/mon_data";
  base::write_file(data + "/mon_L3_00/llc_occupancy", "8192\n");
  base::write_file(data + "/mon_L3_01/mbm_total_bytes", "500\n");
  base::write_file(data + "/mon_L3_01/mbm_local_bytes", "Unavailable\n");
  const ResctrlStatistics read =
      read_resctrl(plan({.clos_id = "gold", .enable_monitoring = true}).group);
  EXPECT_EQ(read.l3_schema_root, "L3:0=ffff;1=ffff");
  EXPECT_EQ(read.mem_bw_schema, "MB:0=100;1=100");
  EXPECT_EQ(read.cbm_mask, "ffff");
  EXPECT_EQ(read.l3_closids, 16U);
  EXPECT_TRUE(read.has_mem_bw);
  EXPECT_EQ(read.mem_bw_closids, 8U);
  ASSERT_EQ(read.domains.size(), 2U);
  EXPECT_EQ(read.domains[0].llc_occupancy, 8192U);
  EXPECT_FALSE(read.domains[0].has_bandwidth);
  EXPECT_EQ(read.domains[1].mbm_total_bytes, 500U);
  EXPECT_EQ(read.domains[1].mbm_local_bytes, 0U);
}

TEST_F(ResctrlTest, TheKernelsReasonIsPassedOn) {
  base::write_file(dir_ / "info/last_cmd_status", "mask f0f has non-consecutive 1-bits\n");
  base::make_dirs(dir_ / "one/schemata");  // which can't be written
  try {
    update_resctrl(plan({}).group, "L3:0=f0f", "");
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_NE(std::string(error.what()).find("non-consecutive"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace runtime
