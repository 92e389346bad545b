#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using RunTest = ContainerTest;

TEST_F(RunTest, ExitCodesAreTheProgramsOwn) {
  EXPECT_EQ(run({"true"}).exit_code, 0);
  EXPECT_EQ(run({"false"}).exit_code, 1);
  EXPECT_EQ(sh("exit 42").exit_code, 42);
}

TEST_F(RunTest, HasNamespacesOfItsOwn) {
  const Outcome outcome = sh("hostname; echo $$; ip -o link | wc -l; ps | wc -l");
  EXPECT_EQ(outcome.output.substr(0, 9), "boat\n1\n1\n") << outcome.output;
}

}  // namespace
}  // namespace runtime
