#include "runtime/systemd.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace runtime {
namespace {

TEST(SystemdUnit, IsNamedByThreeWords) {
  const SystemdUnit unit = parse_systemd_unit("user-1000.slice:docker:abc", "id");
  EXPECT_EQ(unit.name, "docker-abc.scope");
  EXPECT_EQ(unit.slice, "user-1000.slice");
  EXPECT_EQ(unit.cgroup_path, "/user.slice/user-1000.slice/docker-abc.scope");
  EXPECT_EQ(parse_systemd_unit("", "id").cgroup_path, "/system.slice/sampan-id.scope");
  EXPECT_EQ(parse_systemd_unit("::abc", "id").cgroup_path, "/system.slice/abc.scope");
  EXPECT_EQ(parse_systemd_unit("-.slice:a:b", "id").cgroup_path, "/a-b.scope");
  EXPECT_EQ(parse_systemd_unit("a-b-c.slice::d", "id").cgroup_path,
            "/a.slice/a-b.slice/a-b-c.slice/d.scope");
}

TEST(SystemdUnit, RefusesOtherPaths) {
  for (const char* path :
       {"/a/b", "a.slice:b", "noslice:b:c", "a.slice:b:../c", "a--b.slice:x:y", "-a.slice:x:y",
        "a-.slice:x:y", ".slice:x:y", "a.slice:b:", "a/b.slice:c:d", "slice:x:y", "x:y:z"}) {
    SCOPED_TRACE(path);
    EXPECT_THROW(parse_systemd_unit(path, "id"), base::Error);
  }
}

std::uint64_t value_of(const std::vector<BusProperty>& properties, const std::string& name) {
  for (const BusProperty& each : properties) {
    if (each.name == name) return each.number;
  }
  return 0;
}

TEST(SystemdUnit, LimitsBecomeProperties) {
  oci::Resources resources;
  resources.memory.limit = 1000;
  resources.memory.swap = 3000;
  resources.cpu.shares = 1024;
  resources.cpu.quota = 33'333;
  resources.cpu.period = 100'000;
  resources.cpu.cpus = "0,9";
  resources.pids_limit = -1;
  const auto v2 = plan_limits(resources, SystemdCgroups::kV2);
  EXPECT_EQ(value_of(v2, "MemoryMax"), 1000U);
  EXPECT_EQ(value_of(v2, "MemorySwapMax"), 2000U);
  EXPECT_EQ(value_of(v2, "CPUWeight"), 100U);
  EXPECT_EQ(value_of(v2, "CPUQuotaPerSecUSec"), 340'000U);  // whole steps, upwards
  EXPECT_EQ(value_of(v2, "TasksMax"), UINT64_MAX);
  const auto cpus = std::find_if(v2.begin(), v2.end(),
                                 [](const auto& each) { return each.name == "AllowedCPUs"; });
  ASSERT_NE(cpus, v2.end());
  EXPECT_EQ(cpus->numbers, (std::vector<std::uint64_t>{1, 2}));
  const auto v1 = plan_limits(resources, SystemdCgroups::kV1);
  EXPECT_EQ(value_of(v1, "MemoryLimit"), 1000U);
  EXPECT_EQ(value_of(v1, "CPUShares"), 1024U);
  EXPECT_EQ(value_of(v1, "AllowedCPUs"), 0U);
}

// The layout of "a{sv}" by the specification's own rules, byte for byte.
TEST(Bus, WritesProperties) {
  BusWriter body;
  write_properties(body, {{.name = "A", .type = "t", .text = {}, .number = 7, .numbers = {}},
                          {.name = "B", .type = "au", .text = {}, .numbers = {5}}});
  const std::string expected(
      "\x2c\0\0\0\0\0\0\0"              // length of the elements, then aligned to 8
      "\1\0\0\0A\0\1t\0\0\0\0\0\0\0\0"  // name, type, aligned to 8
      "\7\0\0\0\0\0\0\0"
      "\1\0\0\0B\0\2au\0\0\0"
      "\4\0\0\0\5\0\0\0",
      8 + 16 + 8 + 12 + 8);
  EXPECT_EQ(body.bytes(), expected);
}

TEST(Bus, ReadsOnlyWholeMessages) {
  // A method's answer to call 5 with a path as its body.
  BusWriter header;
  header.byte('l');
  header.byte(2);
  header.byte(1);
  header.byte(1);
  BusWriter body;
  body.string("/job/1");
  header.u32(static_cast<std::uint32_t>(body.bytes().size()));
  header.u32(9);
  const auto fields = header.begin_array(8);
  header.byte(5);
  header.signature("u");
  header.u32(5);
  header.align(8);
  header.byte(8);
  header.signature("g");
  header.signature("o");
  header.end_array(fields);
  header.align(8);
  const std::string bytes = header.bytes() + body.bytes();
  BusMessage message;
  std::size_t size = 0;
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    EXPECT_FALSE(parse_message(std::string_view(bytes).substr(0, cut), message, size)) << cut;
  }
  ASSERT_TRUE(parse_message(bytes + "next", message, size));
  EXPECT_EQ(size, bytes.size());
  EXPECT_EQ(message.reply_to, 5U);
  EXPECT_EQ(message.text_at("o", 0), "/job/1");
  EXPECT_THROW(message.text_at("oo", 1), base::Error);
}

TEST(Bus, RefusesNonsense) {
  std::string big("lB\0\1\xff\xff\xff\xff\1\0\0\0\0\0\0\0", 16);
  BusMessage message;
  std::size_t size = 0;
  EXPECT_THROW(parse_message(big, message, size), base::Error);
  EXPECT_THROW(parse_message(std::string(16, 'x'), message, size), base::Error);
  // A field whose length leads out of the message.
  const std::string field("l\2\0\1\0\0\0\0\1\0\0\0\x0a\0\0\0\1\1s\0\xff\0\0\0ab\0\0\0\0\0\0", 32);
  EXPECT_THROW(parse_message(field, message, size), base::Error);
}

}  // namespace
}  // namespace runtime
