// EngineTest: an engine on a store of its own, with an image of busybox made without a registry, in
// network and mount namespaces of its own.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "engine/engine.h"
#include "tests/base/temp_dir.h"

namespace engine_test {

namespace fs = std::filesystem;

struct RunResult {
  int code = -1;  // -1: detached
  std::string out, err;
};

class EngineTest : public testing::Test {
 protected:
  static void SetUpTestSuite();
  EngineTest();
  ~EngineTest() override;

  // Files of a layer: text, or "->target" for a symbolic link, or "|" for a FIFO.
  using Files = std::map<std::string, std::string>;
  void add_image(const std::string& name, const std::vector<Files>& layers,
                 const std::string& config = R"("Cmd":["sh"])");

  engine::ContainerOptions options(std::vector<std::string> command) const;
  // In the foreground, as `run` does; standard streams are files of the test.
  RunResult run(const engine::ContainerOptions& options, std::string_view input = {});
  std::string run_detached(const engine::ContainerOptions& options);
  // A fresh engine, as the next command would have: it settles what was left.
  engine::Engine& next_command();
  engine::Engine& engine() { return *engine_; }

  // In a child process, which is SIGKILLed by the caller or ends by itself.
  pid_t in_child(const std::function<int(engine::Engine&)>& work);
  int monitor_count() const;
  void expect_nothing_left();  // no rows, run directories, groups, firewall elements

  engine::Config config_;
  TempDir root_, state_;
  std::unique_ptr<engine::Engine> engine_;
  std::string cgroup_;
};

bool eventually(const std::function<bool()>& condition, int milliseconds = 10'000);

}  // namespace engine_test
