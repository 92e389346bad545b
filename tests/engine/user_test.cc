#include "engine/user.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

const UserFiles kFiles = {.passwd =
                              "root:x:0:0:root:/root:/bin/sh\n"
                              "# a comment\n"
                              "daemon:x:1:1::/usr/sbin:/bin/false\n"
                              "broken:x:notanumber:1::/:/bin/sh\n"
                              "app:x:1000:1000::/home/app:/bin/sh\n"
                              "99999999999:x:7:7::/trap:/bin/sh\n"
                              "0042:x:8:8::/trap:/bin/sh\n"
                              "nohome:x:9:9\n",
                          .group =
                              "root:x:0:\n"
                              "daemon:x:1:\n"
                              "audio:x:29:app,other\n"
                              "video:x:44:other,app\n"
                              "app:x:1000:\n"
                              "notme:x:50:apple,xapp\n"};

struct Case {
  const char* who;
  std::uint32_t uid, gid;
  std::vector<std::uint32_t> groups;
  const char* home;
};

TEST(User, IsResolvedAsDockerDoes) {
  const Case kTable[] = {
      {"", 0, 0, {0}, "/root"},
      {"root", 0, 0, {0}, "/root"},
      {"app", 1000, 1000, {1000, 29, 44}, "/home/app"},
      {"1000", 1000, 1000, {1000, 29, 44}, "/home/app"},
      {"app:audio", 1000, 29, {29}, "/home/app"},
      {"app:5", 1000, 5, {5}, "/home/app"},
      {"4321", 4321, 0, {0}, "/"},
      {"4321:1234", 4321, 1234, {1234}, "/"},
      {":audio", 0, 29, {29}, "/root"},
      {"0042", 42, 0, {0}, "/"},  // digits are a number, whatever the file says
      {"2147483647", 2147483647, 0, {0}, "/"},
      {"nohome", 9, 9, {9}, "/"},
  };
  for (const Case& expected : kTable) {
    SCOPED_TRACE(expected.who);
    const ContainerUser user = plan_user(expected.who, {}, kFiles);
    EXPECT_EQ(user.uid, expected.uid);
    EXPECT_EQ(user.gid, expected.gid);
    EXPECT_EQ(user.additional_gids, expected.groups);
    EXPECT_EQ(user.home, expected.home);
  }
}

std::string refusal(std::string_view who, const std::vector<std::string>& groups = {}) {
  try {
    plan_user(who, groups, kFiles);
  } catch (const base::Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST(User, UnknownNamesAreRefused) {
  EXPECT_EQ(refusal("nosuch"), "unable to find user nosuch: no matching entries in passwd file");
  EXPECT_EQ(refusal("app:nosuch"),
            "unable to find group nosuch: no matching entries in group file");
  EXPECT_EQ(refusal("app", {"nosuch"}),
            "unable to find group nosuch: no matching entries in group file");
  EXPECT_EQ(refusal("broken"), "unable to find user broken: no matching entries in passwd file");
}

TEST(User, NumbersOutOfRangeNeverBecomeRoot) {  // CVE-2024-40635
  for (const char* who : {"2147483648", "4294967296", "4294967295", "99999999999",
                          "18446744073709551616", "-1", "+1", "0:4294967296", "app:2147483648"}) {
    EXPECT_NE(refusal(who).find("uids and gids must be in range"), std::string::npos) << who;
  }
}

TEST(User, GroupAddJoinsByNameAndNumber) {
  EXPECT_EQ(plan_user("app", {"daemon", "77", "audio"}, kFiles).additional_gids,
            (std::vector<std::uint32_t>{1000, 29, 44, 1, 77}));
}

TEST(User, AnImageWithoutFilesStillHasNumbers) {
  EXPECT_EQ(plan_user("", {}, {}).uid, 0U);
  EXPECT_EQ(plan_user("5:6", {}, {}).gid, 6U);
  EXPECT_THROW(plan_user("root", {}, {}), base::Error);
}

}  // namespace
}  // namespace engine
