// The net effect of device rules, and the program for cgroup v2 simulated.
#include "runtime/devices.h"

#include <cstring>
#include <linux/bpf.h>
#include <optional>
#include <stdexcept>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"
#include "runtime/defaults.h"

namespace {

using runtime::DeviceList;

oci::DeviceRule rule(bool allow, char type, std::optional<std::int64_t> major,
                     std::optional<std::int64_t> minor, const char* access = "rwm") {
  return {.allow = allow, .type = type, .major = major, .minor = minor, .access = access};
}

std::vector<std::string> lines(const DeviceList& list) {
  std::vector<std::string> text;
  for (const auto& one : list.exceptions) text.push_back(runtime::render(one));
  return text;
}

TEST(Devices, NoRulesMeanTheDevicesEveryContainerHas) {
  const DeviceList list = runtime::plan_devices({});
  EXPECT_FALSE(list.allow_by_default);
  EXPECT_THAT(lines(list), testing::ElementsAre("c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm",
                                                "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
                                                "c 5:2 rwm", "c 136:* rwm"));
}

TEST(Devices, DockersDefaultAddsTheConsole) {
  const auto text = lines(runtime::plan_devices(runtime::default_device_rules()));
  EXPECT_THAT(text, testing::Contains("c 5:1 rwm"));
  EXPECT_THAT(text, testing::Not(testing::Contains("c 10:229 rwm")));
  EXPECT_EQ(text.size(), 11U);
}

TEST(Devices, LaterRulesWin) {
  EXPECT_EQ(runtime::plan_devices(
                {rule(false, 'a', {}, {}), rule(true, 'c', 10, 200), rule(true, 'a', {}, {})}),
            (DeviceList{.allow_by_default = true, .exceptions = {}}));
  const DeviceList list =
      runtime::plan_devices({rule(true, 'c', 10, 200), rule(false, 'c', 10, 200, "w")});
  EXPECT_THAT(lines(list), testing::Contains("c 10:200 rm"));
  EXPECT_THAT(lines(runtime::plan_devices({rule(true, 'c', 10, 200), rule(false, 'c', 10, {})})),
              testing::Not(testing::Contains(testing::HasSubstr("10:200"))));
  const DeviceList denying =
      runtime::plan_devices({rule(true, 'a', {}, {}), rule(false, 'b', 8, {})});
  EXPECT_TRUE(denying.allow_by_default);
  EXPECT_THAT(lines(denying), testing::ElementsAre("b 8:* rwm"));
}

TEST(Devices, AccessOfOneDeviceIsJoined) {
  EXPECT_THAT(
      lines(runtime::plan_devices({rule(true, 'b', 7, 1, "m"), rule(true, 'b', 7, 1, "wr")})),
      testing::Contains("b 7:1 rwm"));
}

TEST(Devices, HolesInWildcardsAreRefused) {
  for (const auto& rules :
       {std::vector{rule(true, 'c', 10, {}), rule(false, 'c', 10, 229)},
        std::vector{rule(true, 'c', {}, {}, "rw"), rule(false, 'c', 1, 1, "r")},
        std::vector{rule(true, 'x', 1, 1)}, std::vector{rule(true, 'c', 1, 1, "rwx")},
        std::vector{rule(true, 'a', 1, {})}}) {
    try {
      runtime::plan_devices(rules);
      ADD_FAILURE() << runtime::render(rules.back());
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid);
    }
  }
}

// The few instructions that our programs use, as the kernel's verifier and interpreter see them.
class Machine {
 public:
  explicit Machine(bpf_cgroup_dev_ctx context) : context_(context) {}

  std::uint64_t run(const std::vector<std::uint64_t>& program) {
    for (std::size_t pc = 0; pc < program.size(); ++pc) {
      const std::uint64_t one = program[pc];
      const unsigned code = one & 0xffU;
      std::uint64_t& to = registers_[one >> 8U & 15U];
      const std::uint64_t from = registers_[one >> 12U & 15U];
      const auto offset = static_cast<std::int16_t>(one >> 16U & 0xffffU);
      const auto immediate = static_cast<std::uint32_t>(one >> 32U);
      const auto jump = [&](bool yes) { pc += yes ? static_cast<std::size_t>(offset) : 0; };
      switch (code) {
        case BPF_LDX | BPF_MEM | BPF_W: {
          std::uint32_t word = 0;
          memcpy(&word, reinterpret_cast<const char*>(&context_) + offset, 4);
          to = word;
          break;
        }
        case BPF_ALU | BPF_MOV | BPF_X:
          to = static_cast<std::uint32_t>(from);
          break;
        case BPF_ALU | BPF_AND | BPF_K:
          to = static_cast<std::uint32_t>(to) & immediate;
          break;
        case BPF_ALU | BPF_RSH | BPF_K:
          to = static_cast<std::uint32_t>(to) >> immediate;
          break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
          to = immediate;
          break;
        case BPF_JMP32 | BPF_JNE | BPF_K:
          jump(static_cast<std::uint32_t>(to) != immediate);
          break;
        case BPF_JMP32 | BPF_JEQ | BPF_K:
          jump(static_cast<std::uint32_t>(to) == immediate);
          break;
        case BPF_JMP | BPF_EXIT:
          return registers_[0];
        default:
          throw std::runtime_error("instruction " + std::to_string(code));
      }
    }
    throw std::runtime_error("fell off the end");
  }

 private:
  bpf_cgroup_dev_ctx context_;
  std::uint64_t registers_[11] = {};
};

bool allowed(const DeviceList& list, char type, unsigned major, unsigned minor, unsigned access) {
  const unsigned kind = type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  Machine machine({.access_type = access << 16U | kind, .major = major, .minor = minor});
  return machine.run(runtime::compile_device_program(list)) == 1;
}

constexpr unsigned kMknod = BPF_DEVCG_ACC_MKNOD;
constexpr unsigned kRead = BPF_DEVCG_ACC_READ;
constexpr unsigned kWrite = BPF_DEVCG_ACC_WRITE;

TEST(DeviceProgram, DeniesAllButTheExceptions) {
  const DeviceList list =
      runtime::plan_devices({rule(true, 'c', 10, 200, "rw"), rule(true, 'b', 8, {}, "r")});
  EXPECT_TRUE(allowed(list, 'c', 1, 3, kRead | kWrite));
  EXPECT_TRUE(allowed(list, 'c', 10, 200, kRead | kWrite));
  EXPECT_TRUE(allowed(list, 'c', 136, 77, kRead));
  EXPECT_TRUE(allowed(list, 'b', 8, 5, kRead));
  EXPECT_FALSE(allowed(list, 'b', 8, 5, kRead | kWrite));
  EXPECT_FALSE(allowed(list, 'b', 1, 3, kRead));  // the character device is meant
  EXPECT_FALSE(allowed(list, 'c', 10, 229, kRead));
  EXPECT_FALSE(allowed(list, 'c', 1, 1, kRead));  // /dev/mem
  EXPECT_TRUE(allowed(list, 'b', 254, 0, kMknod));
  EXPECT_FALSE(allowed(list, 'b', 254, 0, kMknod | kRead));
}

TEST(DeviceProgram, AllowsAllButTheExceptions) {
  const DeviceList list = runtime::plan_devices(
      {rule(true, 'a', {}, {}), rule(false, 'b', 8, {}, "w"), rule(false, 'c', 1, 1)});
  EXPECT_TRUE(allowed(list, 'b', 8, 0, kRead));
  EXPECT_FALSE(allowed(list, 'b', 8, 0, kRead | kWrite));
  EXPECT_FALSE(allowed(list, 'c', 1, 1, kRead));
  EXPECT_TRUE(allowed(list, 'c', 1, 2, kRead | kWrite | kMknod));
}

}  // namespace
