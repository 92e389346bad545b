#include <csignal>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "engine/bridge_network.h"
#include "tests/engine/engine_fixture.h"

namespace engine_test {
namespace {

using engine::Engine;
using storage::ContainerStatus;

template <class Action>
std::string refusal(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.what();
  }
  return "accepted";
}

TEST_F(EngineTest, RunGivesOutputAndExitCode) {
  auto wanted = options({"sh", "-c", "echo out; echo err >&2; cat; exit 42"});
  wanted.interactive = true;
  wanted.auto_remove = true;
  const RunResult result = run(wanted, "typed\n");
  EXPECT_EQ(result.code, 42);
  EXPECT_EQ(result.out, "out\ntyped\n");
  EXPECT_EQ(result.err, "err\n");
  expect_nothing_left();
}

TEST_F(EngineTest, ALotOfInputAndOutputComesThroughWhole) {
  auto wanted = options({"sh", "-c", "cat; cat >&2"});
  wanted.interactive = true;
  std::string input;
  for (int i = 0; i < 400'000; ++i) input += std::to_string(i) + "\n";
  EXPECT_EQ(run(wanted, input).out, input);
}

TEST_F(EngineTest, AMissingProgramIsToldAndRecorded) {
  auto wanted = options({"nosuch"});
  wanted.name = "bad";
  try {
    run(wanted);
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kCommandNotFound);
  }
  const auto info = engine().load_container("bad");
  EXPECT_EQ(info.row.status, ContainerStatus::kCreated);
  EXPECT_EQ(info.row.exit_code, 127);
  EXPECT_FALSE(info.row.error.empty());
  wanted.auto_remove = true;
  wanted.name = "bad2";
  EXPECT_THROW(run(wanted), base::Error);
  EXPECT_FALSE(engine().find_container("bad2").has_value());
}

TEST_F(EngineTest, KillingTheCommandThatStartedItChangesNothing) {
  auto wanted = options({"sleep", "1000"});
  wanted.name = "kept";
  const pid_t command = in_child([&](Engine& engine) {
    const auto id = engine.create(wanted, {}, Engine::Purpose::kStart);
    return engine.start_attached(id, {}).value_or(0);
  });
  ASSERT_TRUE(eventually([&] {
    const auto info = engine().find_container("kept");
    return info && info->row.status == ContainerStatus::kRunning;
  }));
  kill(command, SIGKILL);
  waitpid(command, nullptr, 0);
  usleep(50'000);
  EXPECT_EQ(next_command().load_container("kept").row.status, ContainerStatus::kRunning);
  engine().kill("kept", "KILL");
  EXPECT_EQ(engine().load_container("kept").row.exit_code, 137);
}

TEST_F(EngineTest, StopAsksFirstAndKillsAfterItsTime) {
  const std::string polite =
      run_detached(options({"sh", "-c", "trap 'exit 7' TERM; sleep 1000 & wait"}));
  usleep(200'000);
  engine().stop(polite, 10);
  EXPECT_EQ(engine().load_container(polite).row.exit_code, 7);
  const std::string deaf = run_detached(options({"sleep", "1000"}));  // pid 1 ignores SIGTERM
  engine().stop(deaf, 0);
  EXPECT_EQ(engine().load_container(deaf).row.exit_code, 137);
  engine().stop(deaf, 0);  // stopped already: fine
  EXPECT_EQ(refusal([&] { engine().kill(deaf, "TERM"); }),
            "Cannot kill container: " + deaf + ": Container " + deaf + " is not running");
}

TEST_F(EngineTest, AStoppedContainerStartsAgainWithItsFiles) {
  auto wanted = options({"sh", "-c", "cat /mark 2>/dev/null; echo again >/mark"});
  const std::string id = engine().create(wanted, {});
  EXPECT_EQ(engine().load_container(id).row.status, ContainerStatus::kCreated);
  engine().start(id);
  EXPECT_EQ(engine().wait(id), 0);
  engine().start(id);
  EXPECT_EQ(engine().wait(id), 0);
  std::string log;
  engine().logs(id, {}, [&](bool, std::string_view line) { log += line; });
  EXPECT_EQ(log, "again\n");
}

TEST_F(EngineTest, RemoveRefusesARunningOneUnlessForced) {
  const std::string id = run_detached(options({"sleep", "1000"}));
  EXPECT_EQ(
      refusal([&] { engine().remove(id, Engine::RemoveForce::kNo, Engine::RemoveVolumes::kNo); }),
      "You cannot remove a running container " + id +
          ". Stop the container before attempting removal or force remove");
  engine().remove(id, Engine::RemoveForce::kYes, Engine::RemoveVolumes::kNo);
  expect_nothing_left();
}

TEST_F(EngineTest, PauseFreezesAndStopThaws) {
  const std::string id = run_detached(
      options({"sh", "-c", "trap 'exit 3' TERM; while true; do date +%N; sleep 0.02; done"}));
  const auto count = [&] {
    int lines = 0;
    engine().logs(id, {}, [&](bool, std::string_view) { ++lines; });
    return lines;
  };
  ASSERT_TRUE(eventually([&] { return count() > 0; }));  // its trap is set
  engine().pause(id);
  EXPECT_EQ(engine().load_container(id).row.status, ContainerStatus::kPaused);
  usleep(100'000);
  const int before = count();
  usleep(200'000);
  EXPECT_EQ(count(), before);
  EXPECT_THROW(engine().exec(id, {.command = {"true"}}), base::Error);
  engine().stop(id, 10);
  EXPECT_EQ(engine().load_container(id).row.exit_code, 3);
}

TEST_F(EngineTest, ExecRunsInsideWithItsOwnUserAndCode) {
  auto wanted = options({"sleep", "1000"});
  wanted.env = {"FROM=create"};
  const std::string id = run_detached(wanted);
  EXPECT_EQ(engine().exec(id, {.command = {"sh", "-c", "exit 9"}}), 9);
  EXPECT_EQ(engine().exec(id, {.command = {"sh", "-c", "test $FROM$X = create1 -a $(pwd) = /tmp"},
                               .env = {"X=1"},
                               .working_dir = "/tmp"}),
            0);
  EXPECT_EQ(
      engine().exec(id, {.command = {"sh", "-c", "test \"$(id -u):$(id -G)\" = '1000:1000 29'"},
                         .user = "app"}),
      0);
  try {
    engine().exec(id, {.command = {"nosuch"}});
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kCommandNotFound);
  }
  EXPECT_EQ(engine().exec(id, {.command = {"sh", "-c", "kill -9 $$"}}), 137);
  engine().kill(id, "KILL");
  EXPECT_EQ(refusal([&] { engine().exec(id, {.command = {"true"}}); }),
            "Container " + id + " is not running");
}

TEST_F(EngineTest, ExecEndsWithItsContainer) {
  const std::string id = run_detached(options({"sleep", "1000"}));
  const pid_t command = in_child([&](Engine& engine) {
    return engine.exec(id, {.command = {"sleep", "1000"}});
  });
  usleep(300'000);
  engine().kill(id, "KILL");
  EXPECT_EQ(base::wait_for_child(command), 137);
}

TEST_F(EngineTest, WaitersAndFollowersSeeTheEnd) {
  const std::string id =
      run_detached(options({"sh", "-c", "for i in 1 2 3; do echo $i; sleep 0.1; done; exit 5"}));
  const pid_t waiter = in_child([&](Engine& engine) { return engine.wait(id); });
  std::string log;
  engine().logs(id, {.follow = true}, [&](bool, std::string_view line) { log += line; });
  EXPECT_EQ(log, "1\n2\n3\n");
  EXPECT_EQ(base::wait_for_child(waiter), 5);
}

TEST_F(EngineTest, PublishedPortsAreReservedAndFreed) {
  auto wanted = options({"sleep", "1000"});
  wanted.network = engine::NetworkMode::kBridge;
  wanted.ports = {{.host_address = "127.0.0.1", .host_port = 0, .container_port = 80}};
  const std::string id = run_detached(wanted);
  const auto info = engine().load_container(id);
  ASSERT_EQ(info.ports.size(), 1U);
  ASSERT_NE(info.ports[0].host_port, 0);
  EXPECT_FALSE(info.ip_address.empty());
  wanted.ports[0].host_port = info.ports[0].host_port;
  wanted.auto_remove = true;
  EXPECT_NE(refusal([&] { run_detached(wanted); }).find("port is already allocated"),
            std::string::npos);
  engine().remove(id, Engine::RemoveForce::kYes, Engine::RemoveVolumes::kNo);
  const std::string next = run_detached(wanted);
  engine().kill(next, "KILL");
  expect_nothing_left();
}

TEST_F(EngineTest, AnIdleMonitorIsSmall) {
  const std::string id = run_detached(options({"sleep", "1000"}));
  const pid_t monitor = engine().load_container(id).row.monitor.pid;
  const auto private_dirty = [&] {
    const std::string text = base::read_file("/proc/" + std::to_string(monitor) + "/smaps_rollup");
    return std::stoul(text.substr(text.find("Private_Dirty:") + 14));
  };
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_TRUE(eventually([&] { return private_dirty() < 2048; }, 5000)) << private_dirty() << " kB";
#else
  EXPECT_GT(private_dirty(), 0U);
#endif
}

TEST_F(EngineTest, TwentyAtOnce) {
  std::vector<pid_t> commands;
  for (int i = 0; i < 20; ++i) {
    commands.push_back(in_child([&, i](Engine& engine) {
      auto wanted = options({"sh", "-c", "exit " + std::to_string(i)});
      wanted.auto_remove = true;
      wanted.network = engine::NetworkMode::kBridge;
      const auto id = engine.create(wanted, {}, Engine::Purpose::kStart);
      return engine.start_attached(id, {}).value_or(97);
    }));
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(base::wait_for_child(commands[static_cast<std::size_t>(i)]), i);
  }
  expect_nothing_left();
}

}  // namespace
}  // namespace engine_test
