// The program sampan-image: its events, and what is left when it is killed.
#include <chrono>
#include <csignal>
#include <poll.h>
#include <sys/wait.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/engine/pull_support.h"

namespace engine_test {
namespace {

namespace fs = std::filesystem;
using storage::Store;
using testing::HasSubstr;

class PullProgram : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(fs::exists(kProgram)) << "build sampan-image first"; }

  // Its events come out of the descriptor.
  pid_t start(std::vector<std::string> arguments, base::UniqueFd& events) {
    int pipe_fds[2];
    base::check(pipe2(pipe_fds, O_CLOEXEC), "pipe2");
    const base::UniqueFd write_end(pipe_fds[1]);
    events.reset(pipe_fds[0]);
    base::SpawnOptions options;
    options.program = kProgram;
    options.arguments = {"sampan-image", "pull", "--root", root()};
    options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
    options.descriptors = {{-1, 0}, {2, 1}, {2, 2}, {write_end.get(), 3}};
    return base::spawn(options);
  }

  std::pair<int, std::vector<Json>> run(std::vector<std::string> arguments) {
    base::UniqueFd events;
    const pid_t pid = start(std::move(arguments), events);
    const std::string text = base::read_fd(events.get());
    std::vector<Json> lines;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = text.find('\n', at);
      lines.push_back(Json::parse(text.substr(at, end - at)));
      at = end + 1;
    }
    return {base::wait_for_child(pid), lines};
  }

  void serve(const ImageSpec& spec, std::vector<Json> faults = {}) {
    Json config = registry_test::faults(std::move(faults));
    config["repositories"]["a"] = make_image(spec).as_repository();
    fake_.set(config);
  }
  std::string name() const { return fake_.host() + "/a"; }
  std::string root() const { return (root_.path() / "store").string(); }

  static constexpr const char* kProgram = SAMPAN_BIN_DIR "/sampan-image";
  FakeRegistry& fake_ = FakeRegistry::shared();
  TempDir root_;
};

TEST_F(PullProgram, WritesEventsAndAResult) {
  serve({.layers = {Layer::gzip(make_tar(1, 5, 1000))}});
  const auto [status, lines] = run({name()});
  EXPECT_EQ(status, 0);
  ASSERT_GE(lines.size(), 5U);
  EXPECT_EQ(lines.front().at("event"), "resolved");
  EXPECT_EQ(lines[1].at("event"), "downloading");
  EXPECT_EQ(lines[lines.size() - 2].at("event"), "done");
  EXPECT_EQ(lines.back().at("event"), "result");
  EXPECT_EQ(lines.back().at("changed"), true);
  EXPECT_EQ(lines.back().at("digest"), lines.front().at("text"));
  const auto row = Store(root()).find_image(name());
  EXPECT_EQ(lines.back().at("image"), row->id.str());
}

TEST_F(PullProgram, WritesErrorsWithTheirKind) {
  serve({.layers = {}});
  const auto [status, lines] = run({fake_.host() + "/nothing:here"});
  EXPECT_EQ(status, 1);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_EQ(lines[0].at("event"), "error");
  EXPECT_EQ(lines[0].at("kind"), "not_found");
  EXPECT_THAT(lines[0].at("message").get<std::string>(),
              testing::StartsWith("pull " + fake_.host() + "/nothing:here: "));
  EXPECT_EQ(run({"Not A Name"}).second.back().at("kind"), "invalid");
  EXPECT_EQ(run({"--platform", "x/y/z/w", name()}).second.back().at("kind"), "invalid");
}

TEST_F(PullProgram, EndsWhenNobodyReadsItsEvents) {
  const Layer layer = Layer::gzip(make_tar(1, 50, 20'000));
  serve({.layers = {layer}},
        {{{"path", "/blobs/" + layer.digest()}, {"action", "stall"}, {"after", 1000}}});
  base::UniqueFd events;
  const pid_t pid = start({name()}, events);
  char first = 0;
  ASSERT_EQ(read(events.get(), &first, 1), 1);
  events.reset();
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(base::wait_for_child(pid), 1);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
  Store store(root());
  store.sweep(Store::Sweep::kThorough);
  EXPECT_TRUE(fs::is_empty(store.staging_dir()));
  EXPECT_TRUE(store.list_images().empty());
}

// Parsing what strangers send needs few of root's powers.
TEST_F(PullProgram, KeepsOnlyTheCapabilitiesOfAnUnpacker) {
  const Layer layer = Layer::gzip(make_tar(1, 50, 20'000));
  serve({.layers = {layer}},
        {{{"path", "/blobs/" + layer.digest()}, {"action", "stall"}, {"after", 1000}}});
  base::UniqueFd events;
  const pid_t pid = start({name()}, events);
  char first = 0;
  ASSERT_EQ(read(events.get(), &first, 1), 1);  // by now it talks to the registry
  const std::string status = base::read_file("/proc/" + std::to_string(pid) + "/status");
  kill(pid, SIGKILL);
  base::wait_for_child(pid);
  // chown, dac_override, dac_read_search, fowner, fsetid, sys_admin, mknod, setfcap: capability.h.
  constexpr std::uint64_t kAllowed = 0x0000'0000'8820'001f;
  for (const char* set : {"CapEff:", "CapPrm:", "CapInh:", "CapAmb:"}) {
    const std::size_t at = status.find(set);
    ASSERT_NE(at, std::string::npos);
    EXPECT_EQ(std::stoull(status.substr(at + 7), nullptr, 16) & ~kAllowed, 0U) << set;
  }
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
}

// Whole layers may stay, half of one never; the next pull works.
TEST_F(PullProgram, AKillAtAnyMomentLeavesNothingHalfMade) {
  std::vector<Layer> layers;
  for (unsigned i = 1; i <= 4; ++i) layers.push_back(Layer::gzip(make_tar(i, 80, 10'000)));
  layers.push_back(Layer::gzip(Tar().dir("./").hard_link("link", "d1-0/f0")));
  serve({.layers = layers});
  for (int round = 0; round < 40; ++round) {
    base::UniqueFd events;
    const pid_t pid = start({name()}, events);
    std::this_thread::sleep_for(std::chrono::milliseconds(round * 3));
    kill(pid, SIGKILL);
    base::wait_for_child(pid);

    Store store(root());
    store.sweep(Store::Sweep::kThorough);
    EXPECT_TRUE(fs::is_empty(store.staging_dir())) << round;
    for (unsigned i = 0; i < 4; ++i) {
      const std::string key = layers[i].diff_id().substr(7);
      if (!store.has_layer(key)) {
        EXPECT_FALSE(fs::exists(store.layer_dir(key))) << round;
        continue;
      }
      EXPECT_EQ(storage_test::names_in(store.layer_dir(key)).size(), 85U) << round;
    }
    if (const auto row = store.find_image(name())) {
      EXPECT_EQ(row->layer_keys.size(), 5U);
      store.remove_image(name(), Store::Force::kYes);
    }
    if (round % 10 == 9) {
      EXPECT_EQ(run({name()}).second.back().at("event"), "result");
      Store(root()).remove_image(name(), Store::Force::kYes);
    }
  }
}

}  // namespace
}  // namespace engine_test
