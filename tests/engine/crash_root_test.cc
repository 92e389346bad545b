#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "engine/bridge_network.h"
#include "engine/network_restore.h"
#include "engine/run_directory.h"
#include "tests/engine/engine_fixture.h"

namespace engine_test {
namespace {

using engine::Engine;
using storage::ContainerStatus;

TEST_F(EngineTest, AKilledMonitorTakesItsContainerAlong) {
  auto wanted = options({"sleep", "1000"});
  wanted.network = engine::NetworkMode::kBridge;
  wanted.ports = {{.host_address = {}, .host_port = 0, .container_port = 80}};
  const std::string id = run_detached(wanted);
  const auto before = engine().load_container(id).row;
  const auto init = base::open_process(before.init);
  kill(before.monitor.pid, SIGKILL);
  waitpid(before.monitor.pid, nullptr, 0);
  const auto after = next_command().load_container(id).row;
  EXPECT_EQ(after.status, ContainerStatus::kExited);
  EXPECT_EQ(after.exit_code, 137);
  EXPECT_TRUE(base::has_exited(init->get()));
  engine().start(id);  // and it starts again, with the port it had
  engine().remove(id, Engine::RemoveForce::kYes, Engine::RemoveVolumes::kNo);
  expect_nothing_left();
}

TEST_F(EngineTest, ACommandKilledWhilePuttingPortsBack) {
  auto wanted = options({"sleep", "1000"});
  wanted.network = engine::NetworkMode::kBridge;
  wanted.ports = {{.host_address = {}, .host_port = 0, .container_port = 80}};
  const std::string id = run_detached(wanted);
  const auto bridge = engine::find_bridge(engine().store());
  ASSERT_TRUE(bridge.has_value());
  const auto before = network::list_published(*bridge);
  ASSERT_EQ(before.size(), 1U);
  // What it leaves: the mark, and the port of a container that ended meanwhile.
  network::Endpoint stray = before.front();
  stray.container_id = std::string(64, 'e');
  stray.address.bits += 1;
  for (auto& port : stray.ports) port.host_port = static_cast<std::uint16_t>(port.host_port ^ 1);
  network::publish(*bridge, stray);
  base::write_file(config_.state / engine::kRestoringMark, "");
  next_command();
  const auto after = network::list_published(*bridge);
  ASSERT_EQ(after.size(), 1U);
  EXPECT_EQ(after.front().container_id, id);
  EXPECT_FALSE(fs::exists(config_.state / engine::kRestoringMark));
  engine().remove(id, Engine::RemoveForce::kYes, Engine::RemoveVolumes::kNo);
  expect_nothing_left();
}

TEST_F(EngineTest, AKilledMonitorOfAContainerWithRmLeavesNothing) {
  auto wanted = options({"sleep", "1000"});
  wanted.auto_remove = true;
  wanted.network = engine::NetworkMode::kBridge;
  const std::string id = run_detached(wanted);
  const pid_t monitor = engine().load_container(id).row.monitor.pid;
  kill(monitor, SIGKILL);
  waitpid(monitor, nullptr, 0);
  EXPECT_FALSE(engine().find_container(id).has_value());  // seen without a new engine, too
  expect_nothing_left();
}

TEST_F(EngineTest, ACommandKilledBetweenCreateAndStart) {
  for (const bool auto_remove : {true, false}) {
    auto wanted = options({"true"});
    wanted.auto_remove = auto_remove;
    wanted.name = auto_remove ? "goes" : "stays";
    const pid_t command = in_child([&](Engine& engine) {
      engine.create(wanted, {}, Engine::Purpose::kStart);
      kill(getpid(), SIGKILL);
      return 0;
    });
    EXPECT_EQ(base::wait_for_child(command), 137);
  }
  EXPECT_FALSE(next_command().find_container("goes").has_value());
  EXPECT_EQ(engine().load_container("stays").row.status, ContainerStatus::kCreated);
  engine().start("stays");
  EXPECT_EQ(engine().wait("stays"), 0);
  engine().remove("stays", Engine::RemoveForce::kNo, Engine::RemoveVolumes::kNo);
  expect_nothing_left();
}

TEST_F(EngineTest, CreateWithRmAndWithoutStartIsKept) {
  auto wanted = options({"true"});
  wanted.auto_remove = true;
  const std::string id = engine().create(wanted, {});
  EXPECT_TRUE(next_command().find_container(id).has_value());
  engine().start(id);
  EXPECT_TRUE(eventually([&] { return !engine().find_container(id).has_value(); }));
  expect_nothing_left();
}

TEST_F(EngineTest, ARebootLeavesRowsOnly) {
  const std::string id = run_detached(options({"sleep", "1000"}));
  const auto row = engine().load_container(id).row;
  kill(row.monitor.pid, SIGKILL);
  waitpid(row.monitor.pid, nullptr, 0);
  kill(row.init.pid, SIGKILL);
  // What a boot takes: every process, the groups, the state directory, the identity of the boot.
  const engine::RunDirectory directory(config_.state, id);
  eventually([&] { return !base::find_process(row.init.pid).has_value(); });
  for (const fs::directory_entry& entry : fs::directory_iterator("/sys/fs/cgroup")) {
    rmdir((entry.path().string() + cgroup_ + "/" + id).c_str());
  }
  base::remove_tree(config_.state);
  engine().store().modify_container(
      id, [](storage::ContainerRow& changed) { changed.boot_id = "of another boot"; });
  const auto after = next_command().load_container(id).row;
  EXPECT_EQ(after.status, ContainerStatus::kExited);
  EXPECT_EQ(after.exit_code, 255);
}

// Kills a whole `run --rm` (command and monitor are separate sessions) at moments spread over its
// life; the next command finds nothing but what it then sweeps.
TEST_F(EngineTest, KilledAtAnyMomentARunLeavesNothing) {
  for (int i = 0; i < 40; ++i) {
    auto wanted = options({"sh", "-c", "echo x; sleep 0.01"});
    wanted.auto_remove = true;
    wanted.network = i % 2 == 0 ? engine::NetworkMode::kBridge : engine::NetworkMode::kNone;
    if (i % 4 == 0) wanted.ports = {{.host_address = {}, .host_port = 0, .container_port = 80}};
    const pid_t command = in_child([&](Engine& engine) {
      const auto id = engine.create(wanted, {}, Engine::Purpose::kStart);
      return engine.start_attached(id, {}).value_or(97);
    });
    usleep(static_cast<useconds_t>(i * 900));
    kill(command, SIGKILL);
    waitpid(command, nullptr, 0);
    if (i % 3 == 0) {  // every third time its monitor, too
      for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
        const auto text = base::find_file(entry.path() / "cmdline", 65536);
        if (text && text->find("__monitor") != std::string::npos &&
            text->find(config_.root.string()) != std::string::npos) {
          kill(std::stoi(entry.path().filename()), SIGKILL);
        }
      }
    }
  }
  expect_nothing_left();
}

}  // namespace
}  // namespace engine_test
