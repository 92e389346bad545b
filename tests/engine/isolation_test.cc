#include "engine/isolation.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

using enum oci::NamespaceType;

const oci::Namespace* find(const std::vector<oci::Namespace>& list, oci::NamespaceType type) {
  const auto it = std::find_if(list.begin(), list.end(),
                               [&](const oci::Namespace& each) { return each.type == type; });
  return it == list.end() ? nullptr : &*it;
}

TEST(Isolation, ByDefaultEverythingButUsersIsItsOwn) {
  const auto list = plan_namespaces({}, {});
  for (const auto type : {kMount, kPid, kUts, kIpc, kCgroup, kNetwork}) {
    ASSERT_NE(find(list, type), nullptr);
    EXPECT_EQ(find(list, type)->path, "");
  }
  EXPECT_EQ(find(list, kUser), nullptr);
}

TEST(Isolation, ModesChooseNamespaces) {
  ContainerOptions options;
  options.pid_mode = options.uts_mode = options.ipc_mode = options.cgroup_mode = "host";
  options.user_mode = "auto";
  const auto list = plan_namespaces(options, {});
  for (const auto type : {kPid, kUts, kIpc, kCgroup}) EXPECT_EQ(find(list, type), nullptr);
  EXPECT_NE(find(list, kUser), nullptr);
  options.pid_mode = "container:x";
  EXPECT_EQ(find(plan_namespaces(options, {.pid = "/proc/5/ns/pid"}), kPid)->path,
            "/proc/5/ns/pid");
}

TEST(Isolation, RangesOfIds) {
  EXPECT_EQ(parse_id_range("").first, 1U << 31U);
  EXPECT_EQ(parse_id_range("user:1:65536\ncontainers:1000000:131072\n").first, 1000000U);
  EXPECT_EQ(parse_id_range("containers:1000000:131072\n").slots, 2U);
  for (const char* bad : {"containers:", "containers:0:65536", "containers:5:10",
                          "containers:4294900000:131072", "containers:a:b"}) {
    EXPECT_EQ(parse_id_range(bad).first, 1U << 31U) << bad;
  }
  ContainerOptions options;
  EXPECT_TRUE(plan_user_mappings(options, {}, 3).empty());
  options.user_mode = "auto:size=100";
  const UserMappings ids = plan_user_mappings(options, {.first = 1000000, .slots = 5}, 3);
  EXPECT_EQ(ids.uids, (std::vector<oci::IdMapping>{{0, 1000000 + 3 * 65536, 100}}));
  EXPECT_EQ(ids.gids, ids.uids);
  options.uid_mappings = {{0, 7, 1}};
  EXPECT_EQ(plan_user_mappings(options, {}, 3).gids, (std::vector<oci::IdMapping>{{0, 7, 1}}));
}

TEST(Isolation, TheLastSlotEndsBelowTheLastId) {
  ContainerOptions options;
  options.user_mode = "auto";
  const IdRange range;
  const auto ids = plan_user_mappings(options, range, range.slots - 1).uids;
  EXPECT_LT(std::uint64_t{ids[0].host_id} + ids[0].size, 0xFFFFFFFFULL);
}

TEST(Isolation, DeviceRules) {
  const oci::DeviceRule rule = parse_device_rule("c 13:* rw");
  EXPECT_TRUE(rule.allow);
  EXPECT_EQ(rule.type, 'c');
  EXPECT_EQ(rule.major, 13);
  EXPECT_EQ(rule.minor, std::nullopt);
  EXPECT_EQ(rule.access, "rw");
  EXPECT_EQ(parse_device_rule("a *:* rwm").major, std::nullopt);
  for (const char* bad : {"", "c", "c 1:1", "x 1:1 r", "c 1 r", "c 1:1 q", "c 1:1 rwmr", "c a:1 r",
                          "c 1:1 r more", "c :1 r", "c 1: r"}) {
    EXPECT_THROW(parse_device_rule(bad), base::Error) << bad;
  }
}

TEST(Isolation, ContradictionsAreRefused) {
  const auto refused = [](auto&& change) {
    ContainerOptions options;
    change(options);
    try {
      check_isolation(options);
    } catch (const base::Error& error) {
      return std::string(error.what());
    }
    return std::string("none");
  };
  EXPECT_EQ(refused([](auto&) {}), "none");
  EXPECT_EQ(refused([](auto& o) { o.pid_mode = "container:"; }), "--pid: invalid PID mode");
  EXPECT_EQ(refused([](auto& o) { o.pid_mode = "container:x"; }), "none");
  EXPECT_EQ(refused([](auto& o) { o.ipc_mode = "shareable"; }), "none");
  EXPECT_EQ(refused([](auto& o) { o.user_mode = "auto:size=0"; }), "--userns: invalid USER mode");
  EXPECT_EQ(refused([](auto& o) {
              o.uts_mode = "host";
              o.domainname = "x";
            }),
            "conflicting options: domainname and the UTS mode");
  EXPECT_NE(refused([](auto& o) {
              o.user_mode = "host";
              o.uid_mappings = {{0, 1, 2}};
            }),
            "none");
}

}  // namespace
}  // namespace engine
