#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

class HooksTest : public ContainerTest {
 protected:
  // Says its name, its uts namespace's hostname and the state's status in a file of the host.
  oci::Hook hook(const std::string& name) {
    return shell("read state; echo " + name + " \"$state\" >> " + log());
  }
  static oci::Hook shell(const std::string& script) {
    return {
        .path = "/bin/busybox", .args = {"sh", "-c", script}, .env = {"PATH=/bin"}, .timeout = {}};
  }
  std::string log() const { return home_ / "log"; }

  // "name status" of each line.
  std::vector<std::string> lines() const {
    std::vector<std::string> result;
    const std::string text = base::find_file(log()).value_or("");
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin);
      const std::string line = text.substr(begin, end - begin);
      const std::size_t status = line.find("\"status\":\"") + 10;
      result.push_back(line.substr(0, line.find(' ') + 1) +
                       line.substr(status, line.find('"', status) - status));
      begin = end + 1;
    }
    return result;
  }
};

TEST_F(HooksTest, RunInOrderWithTheState) {
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.hooks.prestart = {hook("prestart")};
  spec.hooks.create_runtime = {hook("createRuntime")};
  spec.hooks.create_container = {hook("createContainer")};
  spec.hooks.poststart = {hook("poststart")};
  spec.hooks.poststop = {hook("poststop")};
  EXPECT_EQ(run(spec, make_options()).exit_code, 0);
  EXPECT_EQ(lines(), (std::vector<std::string>{"prestart creating", "createRuntime creating",
                                               "createContainer creating", "poststart running",
                                               "poststop stopped"}));
}

TEST_F(HooksTest, CreateContainerIsInsideBeforeThePivotAndStartContainerAfter) {
  oci::RuntimeSpec spec = make_spec({"cat", "/seen"});
  // The host's paths, the container's network and mounts.
  spec.hooks.create_container = {shell("/bin/busybox ip -o link | /bin/busybox wc -l > " + log() +
                                       "; /bin/busybox grep -c overlay /proc/self/mountinfo >> " +
                                       log())};
  spec.hooks.start_container = {shell("/bin/hostname > /seen")};
  EXPECT_EQ(run(spec, make_options()).output, "boat\n");
  EXPECT_EQ(base::read_file(log()), "1\n1\n");
}

TEST_F(HooksTest, AFailedOneStopsTheCreation) {
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.hooks.create_runtime = {shell("echo broken >&2; exit 3")};
  spec.hooks.poststop = {hook("poststop")};
  EXPECT_EQ(error_of([&] { run(spec, make_options()); }),
            "createRuntime hook /bin/busybox: exit code 3: broken");
  EXPECT_FALSE(fs::exists(state_dir("one")));
  EXPECT_EQ(lines(), std::vector<std::string>{"poststop stopped"});
}

TEST_F(HooksTest, OneThatHangsIsEnded) {
  oci::RuntimeSpec spec = make_spec({"true"});
  spec.hooks.create_runtime = {shell("exec sleep 1000")};
  spec.hooks.create_runtime[0].timeout = 1;
  EXPECT_EQ(error_of([&] { run(spec, make_options()); }),
            "createRuntime hook /bin/busybox: no end after 1 s");
}

// Inside, where /proc is of another pid namespace than the hook's.
TEST_F(HooksTest, TimeoutsHoldInsideTheContainerToo) {
  for (const bool before_pivot : {true, false}) {
    oci::RuntimeSpec spec = make_spec({"true"});
    auto& hooks = before_pivot ? spec.hooks.create_container : spec.hooks.start_container;
    hooks = {before_pivot ? shell("exec sleep 1000")
                          : oci::Hook{.path = "/bin/sleep", .args = {"sleep", "1000"}, .env = {}}};
    hooks[0].timeout = 1;
    const std::string error = error_of([&] { run(spec, make_options()); });
    EXPECT_NE(error.find(": no end after 1 s"), std::string::npos) << error;
  }
}

TEST_F(HooksTest, AFailedStartContainerEndsTheContainer) {
  oci::RuntimeSpec spec = make_spec({"touch", "/ran"});
  spec.hooks.start_container = {{.path = "/bin/false", .args = {}, .env = {}, .timeout = {}}};
  spec.hooks.poststop = {hook("poststop")};
  CreateOptions options = make_options();
  for (const bool by_fifo : {false, true}) {
    options.exec_fifo = by_fifo;
    Created created = create(spec, options);
    const std::string error = error_of([&] {
      if (by_fifo) {
        start_by_fifo(state_dir("one"));
      } else {
        start(created);
      }
    });
    EXPECT_EQ(error, "startContainer hook /bin/false: exit code 1");
    EXPECT_EQ(load_state(state_dir("one")).status, Status::kStopped);
    waitpid(created.init.pid, nullptr, 0);
    remove(state_dir("one"), RemoveMode::kStoppedOnly);
  }
  EXPECT_FALSE(fs::exists(home_ / "upper/ran"));
  EXPECT_EQ(lines(), (std::vector<std::string>{"poststop stopped", "poststop stopped"}));
}

TEST_F(HooksTest, AFailedPoststartDoesNotStopTheContainer) {
  oci::RuntimeSpec spec = make_spec({"sleep", "0.1"});
  spec.hooks.poststart = {shell("exit 3"), hook("second")};
  EXPECT_EQ(run(spec, make_options()).exit_code, 0);
  EXPECT_EQ(lines(), std::vector<std::string>{"second running"});
}

}  // namespace
}  // namespace runtime
