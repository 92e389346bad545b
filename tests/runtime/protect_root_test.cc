#include <sys/statvfs.h>

#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

// Runs as the program that protects itself, started by the test below: after protect_self() its
// binary is on a read-only mount.
TEST(ProtectSelf, DISABLED_Inside) {
  std::string text = base::read_file("/proc/self/cmdline");
  std::vector<char*> argv;
  for (std::size_t at = 0; at < text.size(); at = text.find('\0', at) + 1) {
    argv.push_back(&text[at]);
  }
  argv.push_back(nullptr);
  protect_self(argv.data());
  const base::UniqueFd self = base::open_file("/proc/self/exe", O_PATH);
  struct statvfs info = {};
  ASSERT_EQ(fstatvfs(self.get(), &info), 0);
  EXPECT_NE(info.f_flag & ST_RDONLY, 0U);
  EXPECT_EQ(access("/proc/self/exe", W_OK), -1);
  EXPECT_EQ(errno, EROFS);
}

TEST(ProtectSelf, PutsOurBinaryOnAReadOnlyMount) {
  if (getuid() != 0) GTEST_SKIP() << "needs root";
  const pid_t pid = base::spawn(
      {.program = "/proc/self/exe",
       .arguments = {"test", "--gtest_also_run_disabled_tests", "--gtest_filter=*DISABLED_Inside"},
       .environment = std::vector<std::string>(),
       .descriptors = {{.ours = 1, .theirs = 1}, {.ours = 2, .theirs = 2}}});
  EXPECT_EQ(base::wait_for_child(pid), 0);
}

}  // namespace
}  // namespace runtime
