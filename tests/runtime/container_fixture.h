// ContainerTest: real containers of busybox in a temporary directory, for tests that run as root.
#pragma once

#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "oci/runtime_spec.h"
#include "runtime/container.h"
#include "runtime/defaults.h"

namespace runtime {

struct Outcome {
  int exit_code = -1;
  std::string output;  // stdout and stderr
};

class ContainerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (getuid() != 0) GTEST_SKIP() << "needs root";
    if (!fs::exists("/bin/busybox")) GTEST_SKIP() << "needs busybox-static";
    char name[] = "/tmp/sampan-runtime-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    home_ = name;
    make_rootfs(home_ / "lower");
    for (const char* folder : {"upper", "work", "bundle", "empty"}) {
      fs::create_directory(home_ / folder);
    }
  }

  void TearDown() override {
    if (home_.empty()) return;
    for (const std::string& id : ids_) {
      try {
        remove(state_dir(id), RemoveMode::kForced);
      } catch (const base::Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    base::remove_tree_quietly(home_);
    for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup")) {
      rmdir((hierarchy.path() / cgroup_parent().substr(1)).c_str());
    }
    rmdir(("/sys/fs/cgroup" + cgroup_parent()).c_str());
  }

  static std::string cgroup_parent() { return "/sampan-test-" + std::to_string(getpid()); }

  static void make_rootfs(const fs::path& root) {
    fs::create_directories(root / "bin");
    fs::create_directories(root / "etc");
    fs::create_directories(root / "tmp");
    chmod((root / "tmp").c_str(), 01777);
    fs::copy_file("/bin/busybox", root / "bin/busybox");
    for (const char* applet :
         {"sh",   "true",     "false", "cat",  "echo", "id",  "ls",     "mount",    "sleep",
          "stat", "hostname", "touch", "grep", "pwd",  "tty", "stty",   "readlink", "ps",
          "kill", "mkdir",    "ip",    "test", "head", "dd",  "umount", "mknod",    "chmod",
          "env",  "wc",       "find",  "ln",   "rm",   "cp"}) {
      fs::create_symlink("busybox", root / "bin" / applet);
    }
    base::write_file(root / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
  }

  fs::path state_dir(const std::string& id) const { return home_ / "state" / id; }

  oci::RuntimeSpec make_spec(const std::vector<std::string>& args) const {
    oci::RuntimeSpec spec;
    oci::Process process;
    process.args = args;
    process.env = {"PATH=/bin:/usr/bin", "HOME=/root"};
    process.cwd = "/";
    oci::Capabilities capabilities;
    capabilities.bounding = capabilities.effective = capabilities.permitted =
        default_capabilities();
    process.capabilities = capabilities;
    spec.process = process;
    spec.root.path = "/";
    spec.hostname = "boat";
    spec.mounts = default_mounts();
    using enum oci::NamespaceType;
    for (const auto type : {kMount, kPid, kNetwork, kIpc, kUts, kCgroup}) {
      spec.linux_.namespaces.push_back({.type = type, .path = {}});
    }
    spec.linux_.masked_paths = default_masked_paths();
    spec.linux_.readonly_paths = default_readonly_paths();
    spec.linux_.resources.devices = default_device_rules();
    const std::set<std::string> held(default_capabilities().begin(), default_capabilities().end());
    spec.linux_.seccomp = default_seccomp(held);
    return spec;
  }

  CreateOptions make_options(const std::string& id = "one") {
    ids_.insert(id);
    CreateOptions options;
    options.id = id;
    options.bundle = home_ / "bundle";
    options.state_dir = state_dir(id);
    options.cgroup_parent = cgroup_parent();
    options.overlay = RootOverlay{.lower = {home_ / "empty", home_ / "lower"},
                                  .upper = home_ / "upper",
                                  .work = home_ / "work"};
    options.die_with_parent = true;
    return options;
  }

  // Creates, starts, waits and reads what it wrote.
  Outcome run(const oci::RuntimeSpec& spec, CreateOptions options) {
    int ends[2] = {-1, -1};
    base::check(pipe2(ends, O_CLOEXEC), "pipe");
    base::UniqueFd reader(ends[0]);
    base::UniqueFd writer(ends[1]);
    options.stdio.out = options.stdio.err = writer.get();
    Created created = create(spec, options);
    try {
      start(created);
    } catch (const base::Error&) {
      remove(options.state_dir, RemoveMode::kStoppedOnly);
      throw;
    }
    writer.reset();
    Outcome outcome;
    outcome.output = base::read_fd(reader.get());
    outcome.exit_code = base::wait_for_child(created.init.pid);
    remove(options.state_dir, RemoveMode::kStoppedOnly);
    return outcome;
  }

  Outcome run(const std::vector<std::string>& args) { return run(make_spec(args), make_options()); }
  Outcome sh(const std::string& script) { return run({"sh", "-c", script}); }

  // A container that stays until it is killed.
  Created start_sleeper(const std::string& id = "one") {
    Created created = create(make_spec({"sleep", "1000"}), make_options(id));
    start(created);
    return created;
  }

  Outcome exec_in(const std::string& id, const std::vector<std::string>& args) {
    oci::RuntimeSpec spec = make_spec(args);
    return exec_in(id, spec, *spec.process);
  }

  Outcome exec_in(const std::string& id, const oci::RuntimeSpec& spec,
                  const oci::Process& process) {
    int ends[2] = {-1, -1};
    base::check(pipe2(ends, O_CLOEXEC), "pipe");
    base::UniqueFd reader(ends[0]);
    base::UniqueFd writer(ends[1]);
    ExecOptions options;
    options.stdio.out = options.stdio.err = writer.get();
    const Executed executed = exec(state_dir(id), spec, process, options);
    writer.reset();
    Outcome outcome;
    outcome.output = base::read_fd(reader.get());
    outcome.exit_code = base::wait_for_child(executed.process.pid);
    return outcome;
  }

  // All that was written to a terminal whose other end is closed: then reading fails with EIO.
  static std::string read_console(int fd) {
    std::string text;
    char buffer[256];
    for (ssize_t size = 0; (size = read(fd, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<std::size_t>(size));
    }
    return text;
  }

  // The text of the Error that the action throws; "" where it does not.
  template <class Action>
  static std::string error_of(Action&& action, std::optional<base::ErrorKind> kind = {}) {
    try {
      action();
    } catch (const base::Error& error) {
      if (kind) {
        EXPECT_EQ(error.kind(), *kind) << error.what();
      }
      return error.what();
    }
    return {};
  }

  fs::path home_;
  std::set<std::string> ids_;
};

}  // namespace runtime
