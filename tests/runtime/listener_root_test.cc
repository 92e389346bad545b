// SCMP_ACT_NOTIFY: a seccomp agent gets the filter's listener, and answers for the container.
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <nlohmann/json.hpp>

#include "base/descriptor_passing.h"
#include "tests/runtime/container_fixture.h"

namespace runtime {
namespace {

using nlohmann::json;

class ListenerTest : public ContainerTest {
 protected:
  void SetUp() override {
    ContainerTest::SetUp();
    if (home_.empty()) return;
    path_ = home_ / "agent.sock";
    server_.reset(base::check(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket"));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    std::snprintf(address.sun_path, sizeof address.sun_path, "%s", path_.c_str());
    base::check(bind(server_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
    base::check(listen(server_.get(), 8), "listen");
  }
  void TearDown() override {
    if (agent_ > 0) {
      kill(agent_, SIGKILL);
      waitpid(agent_, nullptr, 0);
    }
    ContainerTest::TearDown();
  }

  // Answers every call of the first container with an errno; writes down the state it got.
  void start_agent(int containers) {
    agent_ = fork();
    if (agent_ != 0) return;
    for (int i = 0; i < containers; ++i) serve();
    _exit(0);
  }
  void serve() {
    const base::UniqueFd connection(accept4(server_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::vector<char> buffer(65536);
    base::UniqueFd listener;
    const ssize_t size = base::receive_with_descriptor(connection.get(), buffer, listener);
    base::write_file(home_ / "state-seen",
                     std::string(buffer.data(), static_cast<std::size_t>(size)));
    for (;;) {
      seccomp_notif call = {};
      if (ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
        if (errno == EINTR) continue;
        return;
      }
      seccomp_notif_resp answer = {};
      answer.id = call.id;
      if (call.data.nr == SYS_mkdir || call.data.nr == SYS_mkdirat) {
        answer.error = -ENOTSUP;
      } else {
        answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
      }
      if (ioctl(listener.get(), SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno != ENOENT) return;
      if (answer.error != 0) return;
    }
  }

  oci::RuntimeSpec make_watched(const std::vector<std::string>& args,
                                const std::vector<std::string>& names) {
    oci::RuntimeSpec spec = make_spec(args);
    spec.linux_.seccomp = oci::Seccomp{.default_action = "SCMP_ACT_ALLOW",
                                       .listener_path = path_,
                                       .listener_metadata = "for the agent",
                                       .syscalls = {{.names = names, .action = "SCMP_ACT_NOTIFY"}}};
    return spec;
  }

  fs::path path_;
  base::UniqueFd server_;
  pid_t agent_ = -1;
};

TEST_F(ListenerTest, AnAgentAnswersForTheContainer) {
  start_agent(1);
  oci::RuntimeSpec spec = make_watched({"mkdir", "/made"}, {"mkdir", "mkdirat"});
  spec.annotations = {{"a", "b"}};
  EXPECT_EQ(run(spec, make_options()).output,
            "mkdir: can't create directory '/made': Operation not supported\n");
  const json state = json::parse(base::read_file(home_ / "state-seen"));
  EXPECT_EQ(state.at("fds"), json({"seccompFd"}));
  EXPECT_EQ(state.at("metadata"), "for the agent");
  EXPECT_EQ(state.at("state").at("id"), "one");
  EXPECT_EQ(state.at("state").at("status"), "creating");
  EXPECT_EQ(state.at("state").at("annotations").at("a"), "b");
  EXPECT_EQ(state.at("pid"), state.at("state").at("pid"));
}

// Calls that the runtime itself makes behind the filter wait for the agent, which has the listener
// by then.
TEST_F(ListenerTest, TheRuntimesOwnCallsDoNotWaitForThemselves) {
  for (const bool no_new_privileges : {false, true}) {
    start_agent(1);
    oci::RuntimeSpec spec = make_watched(
        {"mkdir", "/made"}, {"mkdir", "mkdirat", "read", "sendmsg", "capset", "execve", "close"});
    spec.process->no_new_privileges = no_new_privileges;
    EXPECT_EQ(run(spec, make_options()).output,
              "mkdir: can't create directory '/made': Operation not supported\n");
    EXPECT_EQ(base::wait_for_child(std::exchange(agent_, -1)), 0);
  }
}

TEST_F(ListenerTest, AnExecHasAListenerOfItsOwn) {
  const Created created = start_sleeper();
  start_agent(1);
  const oci::RuntimeSpec spec = make_watched({"mkdir", "/made"}, {"mkdir", "mkdirat", "clone"});
  EXPECT_EQ(exec_in("one", spec, *spec.process).output,
            "mkdir: can't create directory '/made': Operation not supported\n");
  const json state = json::parse(base::read_file(home_ / "state-seen"));
  EXPECT_EQ(state.at("state").at("status"), "running");
  EXPECT_EQ(state.at("state").at("pid"), created.init.pid);
  EXPECT_NE(state.at("pid"), created.init.pid);
}

TEST_F(ListenerTest, WithoutAnAgentNothingIsCreated) {
  server_.reset();
  const std::string error =
      error_of([&] { run(make_watched({"true"}, {"mkdir"}), make_options()); });
  EXPECT_EQ(error,
            "linux.seccomp.listenerPath " + path_.string() + ": connect: Connection refused");
  EXPECT_FALSE(fs::exists(state_dir("one")));
}

}  // namespace
}  // namespace runtime
