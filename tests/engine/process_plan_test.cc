#include "engine/process_plan.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

using Words = std::vector<std::string>;

TEST(Arguments, EntrypointAndCommandCombineAsDockers) {
  oci::ImageConfig image;
  image.entrypoint = {"entry"};
  image.cmd = {"cmd"};
  ContainerOptions options;
  EXPECT_EQ(plan_arguments(image, options), (Words{"entry", "cmd"}));
  options.command = {"mine", "x"};
  EXPECT_EQ(plan_arguments(image, options), (Words{"entry", "mine", "x"}));
  options.entrypoint.emplace().emplace_back("own");
  EXPECT_EQ(plan_arguments(image, options), (Words{"own", "mine", "x"}));
  options.command.clear();
  EXPECT_EQ(plan_arguments(image, options), (Words{"own"}));  // the image's command is void
  options.entrypoint->assign({""});
  options.command = {"sh"};
  EXPECT_EQ(plan_arguments(image, options), (Words{"sh"}));
}

TEST(Arguments, NoneAtAllIsAnError) {
  EXPECT_THROW(plan_arguments({}, {}), base::Error);
  oci::ImageConfig image;
  image.entrypoint = {"entry"};
  ContainerOptions options;
  options.entrypoint.emplace();
  EXPECT_THROW(plan_arguments(image, options), base::Error);
}

TEST(Environment, HasDockersOrder) {
  oci::ImageConfig image;
  image.env = {"PATH=/image/bin", "LANG=C", "A=image"};
  ContainerOptions options;
  options.env = {"A=user", "B=user"};
  options.tty = true;
  EXPECT_EQ(plan_environment(image, options, {"DB_PORT=tcp://10.0.0.2:80"}, "box", "/root"),
            (Words{"PATH=/image/bin", "HOSTNAME=box", "TERM=xterm", "DB_PORT=tcp://10.0.0.2:80",
                   "A=user", "B=user", "LANG=C", "HOME=/root"}));
}

TEST(Environment, AVariableWithoutValueIsTakenAway) {
  oci::ImageConfig image;
  image.env = {"A=image", "HOME=/image"};
  ContainerOptions options;
  options.env = {"A", "HOSTNAME"};
  EXPECT_EQ(
      plan_environment(image, options, {}, "box", "/root"),
      (Words{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/image"}));
}

TEST(Environment, VariablesAreFoundByWholeName) {
  EXPECT_EQ(find_variable({"AB=1", "A=2"}, "A"), "2");
  EXPECT_EQ(find_variable({"AB=1"}, "A"), "");
  EXPECT_EQ(find_variable({"A"}, "A"), "");
}

}  // namespace
}  // namespace engine
