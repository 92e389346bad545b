#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "engine/monitor_link.h"
#include "tests/engine/engine_fixture.h"

namespace engine_test {
namespace {

using engine::Engine;
using storage::ContainerStatus;

// A user at a terminal: a command of this program runs on its other side.
class Typist {
 public:
  explicit Typist(const std::function<int()>& work) {
    winsize size = {};
    size.ws_row = 33;
    size.ws_col = 99;
    command_ = forkpty(&master_, nullptr, nullptr, &size);
    base::check(command_, "forkpty");
    if (command_ != 0) return;
    int code = 99;
    try {
      code = work();
    } catch (const std::exception& error) {
      dprintf(2, "threw: %s\n", error.what());
    }
    _exit(code);
  }
  ~Typist() {
    if (command_ > 0) kill(command_, SIGKILL);
    close(master_);
  }

  void type(std::string_view text) { base::write_all(master_, text); }
  bool sees(const std::string& text) {
    for (int waited = 0; waited < 200; ++waited) {
      if (seen_.find(text) != std::string::npos) return true;
      pollfd item = {.fd = master_, .events = POLLIN, .revents = 0};
      char buffer[4096];
      if (poll(&item, 1, 50) <= 0) continue;
      const ssize_t count = read(master_, buffer, sizeof buffer);
      if (count <= 0) return seen_.find(text) != std::string::npos;
      seen_.append(buffer, static_cast<std::size_t>(count));
    }
    return false;
  }
  void resize(unsigned short rows, unsigned short columns) {
    winsize size = {};
    size.ws_row = rows;
    size.ws_col = columns;
    ioctl(master_, TIOCSWINSZ, &size);
  }
  bool is_raw() const {
    termios mode = {};
    return tcgetattr(master_, &mode) == 0 && (mode.c_lflag & ICANON) == 0;
  }
  int wait() {
    const auto process = base::open_process(base::find_process(command_).value());
    if (!process || !base::wait_for_exit(process->get(), 20'000)) return -1;
    const int code = base::wait_for_child(command_);
    command_ = -1;
    return code;
  }
  pid_t command() const { return command_; }
  const std::string& seen() const { return seen_; }

 private:
  int master_ = -1;
  pid_t command_ = -1;
  std::string seen_;
};

class AttachTest : public EngineTest {
 protected:
  engine::ContainerOptions shell() {
    auto wanted = options({"sh"});
    wanted.tty = wanted.interactive = true;
    wanted.name = "shell";
    return wanted;
  }
  int run_shell(const engine::ContainerOptions& wanted) {
    Engine engine(config_);
    const auto id = engine.create(wanted, {}, Engine::Purpose::kStart);
    return engine.start_attached(id, {.stdin_open = true}).value_or(77);
  }
};

TEST_F(AttachTest, ATerminalHasItsSizeAndGivesItBack) {
  Typist typist([&] { return run_shell(shell()); });
  typist.type("tty; stty size\n");
  EXPECT_TRUE(typist.sees("33 99")) << typist.seen();
  EXPECT_TRUE(typist.is_raw());
  typist.resize(44, 111);
  EXPECT_TRUE(eventually([&] {
    typist.type("stty size\n");
    return typist.sees("44 111");
  })) << typist.seen();
  typist.type("exit 5\n");
  typist.sees("exit 5");
  EXPECT_EQ(typist.wait(), 5);
  EXPECT_FALSE(typist.is_raw());
}

TEST_F(AttachTest, KeysReachTheProgramAsSignals) {
  auto wanted = shell();
  wanted.command = {
      "sh", "-c",
      "trap 'echo interrupted; exit 6' INT; echo ready; while true; do sleep 0.1; done"};
  Typist typist([&] { return run_shell(wanted); });
  ASSERT_TRUE(typist.sees("ready"));
  typist.type("\x03");
  EXPECT_TRUE(typist.sees("interrupted"));
  EXPECT_EQ(typist.wait(), 6);
}

TEST_F(AttachTest, DetachKeysLeaveItRunningAndAttachFindsItAgain) {
  {
    Typist typist([&] { return run_shell(shell()); });
    // Until then ctrl-q would be the terminal's own flow control.
    ASSERT_TRUE(eventually([&] { return typist.is_raw(); }));
    typist.type("X=kept\n");
    ASSERT_TRUE(typist.sees("X=kept"));
    typist.type("\x10\x11");
    EXPECT_EQ(typist.wait(), 77);
    EXPECT_FALSE(typist.is_raw());
  }
  EXPECT_EQ(engine().load_container("shell").row.status, ContainerStatus::kRunning);
  Typist typist([&] {
    Engine engine(config_);
    return engine.attach("shell", {.stdin_open = true}).value_or(77);
  });
  typist.type("echo is-$X\n");
  EXPECT_TRUE(typist.sees("is-kept")) << typist.seen();
  typist.type("exit 3\n");
  typist.sees("exit 3");
  EXPECT_EQ(typist.wait(), 3);
}

TEST_F(AttachTest, TheTerminalIsGivenBackOnASignal) {
  Typist typist([&] { return run_shell(shell()); });
  ASSERT_TRUE(eventually([&] { return typist.is_raw(); }));
  kill(typist.command(), SIGTERM);
  EXPECT_EQ(typist.wait(), 128 + SIGTERM);
  EXPECT_FALSE(typist.is_raw());
  EXPECT_EQ(engine().load_container("shell").row.status, ContainerStatus::kRunning);
}

TEST_F(AttachTest, SignalsOfTheCommandReachTheContainer) {
  auto wanted = options(
      {"sh", "-c", "trap 'exit 8' USR1; echo ready >/ready; while true; do sleep 0.02; done"});
  wanted.name = "trapper";
  const pid_t command = in_child([&](Engine& engine) {
    const auto id = engine.create(wanted, {}, Engine::Purpose::kStart);
    return engine.start_attached(id, {}).value_or(77);
  });
  ASSERT_TRUE(eventually([&] {
    const auto info = engine().find_container("trapper");
    return info && fs::exists(engine().store().container_dir(info->row.id) / "upper/ready");
  }));
  kill(command, SIGUSR1);
  EXPECT_EQ(base::wait_for_child(command), 8);
}

TEST_F(AttachTest, InputEndsWithTheCommandThatGaveIt) {
  auto wanted = options({"sh", "-c", "cat >/dev/null; exit 4"});
  wanted.interactive = true;
  wanted.name = "reader";
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const pid_t command = in_child([&](Engine& engine) {
    dup2(ends[0], 0);
    const auto id = engine.create(wanted, {}, Engine::Purpose::kStart);
    return engine.start_attached(id, {.stdin_open = true}).value_or(77);
  });
  ASSERT_TRUE(eventually([&] {
    const auto info = engine().find_container("reader");
    return info && info->row.status == ContainerStatus::kRunning;
  }));
  kill(command, SIGKILL);
  waitpid(command, nullptr, 0);
  EXPECT_EQ(engine().wait("reader"), 4);
  close(ends[0]);
  close(ends[1]);
}

// A client that never reads holds the container back, and costs the monitor no more than its
// buffers; when it goes, the container goes on.
TEST_F(AttachTest, ASlowReaderCostsBoundedMemory) {
  const std::string id = run_detached(
      options({"sh", "-c", "sleep 0.3; head -c 30000000 /dev/zero; echo done >/done"}));
  auto link = engine::connect_monitor({config_.state, id}, engine::kHelloStdout);
  ASSERT_TRUE(link.has_value());
  usleep(800'000);
  const pid_t monitor = engine().load_container(id).row.monitor.pid;
  const std::string text = base::read_file("/proc/" + std::to_string(monitor) + "/smaps_rollup");
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_LT(std::stoul(text.substr(text.find("Private_Dirty:") + 14)), 6000U);
#endif
  EXPECT_FALSE(fs::exists(engine().store().container_dir(id) / "upper/done"));
  link.reset();
  EXPECT_EQ(engine().wait(id), 0);
  EXPECT_TRUE(fs::exists(engine().store().container_dir(id) / "upper/done"));
}

TEST_F(AttachTest, SeveralClientsSeeTheSame) {
  const std::string id =
      run_detached(options({"sh", "-c", "sleep 0.4; for i in $(seq 1000); do echo $i; done"}));
  std::vector<engine::MonitorLink> links;
  for (int i = 0; i < 5; ++i) {
    links.push_back(std::move(*engine::connect_monitor({config_.state, id}, engine::kHelloStdout)));
  }
  std::string expected;
  for (int i = 1; i <= 1000; ++i) expected += std::to_string(i) + "\n";
  for (engine::MonitorLink& link : links) {
    std::string got;
    int code = -1;
    while (const auto frame = link.wait_next()) {
      if (frame->type == engine::FrameType::kStdout) got += frame->payload;
      if (frame->type == engine::FrameType::kExit)
        code = static_cast<int>(engine::parse_number(frame->payload));
    }
    EXPECT_EQ(got, expected);
    EXPECT_EQ(code, 0);
  }
}

TEST_F(AttachTest, GarbageOnTheSocketHurtsOnlyItsSender) {
  const std::string id = run_detached(options({"sleep", "1000"}));
  auto link = engine::connect_monitor({config_.state, id}, 0);
  ASSERT_TRUE(link.has_value());
  const std::string garbage(4096, '\xff');
  EXPECT_GT(send(link->fd(), garbage.data(), garbage.size(), MSG_NOSIGNAL), 0);
  while (link->wait_next()) {
  }
  EXPECT_EQ(engine().load_container(id).row.status, ContainerStatus::kRunning);
  EXPECT_EQ(engine().exec(id, {.command = {"true"}}), 0);
}

TEST_F(AttachTest, ExecOnATerminal) {
  auto wanted = options({"sleep", "1000"});
  wanted.name = "host";
  run_detached(wanted);
  Typist typist([&] {
    Engine engine(config_);
    return engine.exec("host", {.command = {"sh"}, .interactive = true, .tty = true});
  });
  typist.type("stty size; exit 11\n");
  EXPECT_TRUE(typist.sees("33 99")) << typist.seen();
  EXPECT_EQ(typist.wait(), 11);
  EXPECT_FALSE(typist.is_raw());
}

}  // namespace
}  // namespace engine_test
