#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstring>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "base/files.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

// A command whose only word is the id.
std::string parse_id_only(const char* name, const char* summary, const Words& words) {
  CLI::App app(summary);
  app.name(std::string("sampan-oci ") + name);
  std::string id;
  app.add_option("ID", id)->required();
  parse(app, words);
  return id;
}

// "KILL", "SIGKILL", "9", "RTMIN+3".
int parse_signal(const std::string& text) {
  int number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec == std::errc() && result.ptr == text.data() + text.size()) {
    if (number > 0 && number <= SIGRTMAX) return number;
  } else {
    std::string name = text;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (int signal = 1; signal < SIGRTMIN; ++signal) {
      const char* const known = sigabbrev_np(signal);
      if (known != nullptr && name == known) return signal;
    }
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
      if (name == "RTMIN" + (signal == SIGRTMIN ? "" : "+" + std::to_string(signal - SIGRTMIN)))
        return signal;
      if (name == "RTMAX" + (signal == SIGRTMAX ? "" : "-" + std::to_string(SIGRTMAX - signal)))
        return signal;
    }
  }
  throw Error(ErrorKind::kInvalid, "unknown signal \"" + text + "\"");
}

}  // namespace

int run_kill(const Globals& globals, const Words& words) {
  CLI::App app("Sends a signal to the container's first process");
  app.name("sampan-oci kill");
  std::string id;
  std::string signal = "SIGTERM";
  bool all = false;
  app.add_flag("-a,--all", all, "To every process of the container");
  app.add_option("ID", id)->required();
  app.add_option("SIGNAL", signal);
  parse(app, words);
  const int number = parse_signal(signal);
  const runtime::State state = load(globals, id);
  // The words by which containerd knows that there is nothing left to kill.
  if (!all && state.status == runtime::Status::kStopped) {
    throw Error(ErrorKind::kConflict, "container not running: " + id);
  }
  runtime::kill_container(state_dir_of(globals, id), number,
                          all ? runtime::KillScope::kAll : runtime::KillScope::kInit);
  return 0;
}

int run_delete(const Globals& globals, const Words& words) {
  CLI::App app("Removes what is left of a container");
  app.name("sampan-oci delete");
  std::string id;
  bool force = false;
  app.add_flag("-f,--force", force, "Kill it first where it runs; a missing one is no error");
  app.add_option("ID", id)->required();
  parse(app, words);
  const fs::path state_dir = state_dir_of(globals, id);
  if (!force) {
    const runtime::State state = load(globals, id);
    // One that was never started has nothing to lose.
    force = state.status == runtime::Status::kCreated;
    if (!force && state.status != runtime::Status::kStopped) {
      throw Error(ErrorKind::kConflict, "cannot delete container " + id +
                                            " that is not stopped: " + status_word(state.status));
    }
  }
  runtime::remove(state_dir,
                  force ? runtime::RemoveMode::kForced : runtime::RemoveMode::kStoppedOnly);
  return 0;
}

int run_pause(const Globals& globals, const Words& words) {
  runtime::pause(
      state_dir_of(globals, parse_id_only("pause", "Stops all processes where they are", words)));
  return 0;
}

int run_resume(const Globals& globals, const Words& words) {
  runtime::resume(
      state_dir_of(globals, parse_id_only("resume", "Lets paused processes go on", words)));
  return 0;
}

int run_checkpoint(const Globals&, const Words&) {
  throw Error(ErrorKind::kUnsupported, "checkpoint and restore are not supported");
}

namespace {

struct Limits {
  std::string file, cpus, mems;
  std::optional<std::int64_t> memory, memory_swap, memory_reservation, cpu_quota, cpu_rt_runtime,
      pids;
  std::optional<std::uint64_t> cpu_period, cpu_share, cpu_rt_period, cpu_burst, cpu_idle;
  std::optional<std::uint16_t> blkio_weight;
};

// The file has what linux.resources of config.json has: read by the same parser.
oci::Resources parse_resources(const std::string& file) {
  const std::string text =
      file == "-" ? base::read_fd(STDIN_FILENO, 1U << 20U) : base::read_file(file, 1U << 20U);
  return base::while_doing("resources", [&] {
    return oci::parse_runtime_spec(
               R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},"linux":{"resources":)" + text +
               "}}")
        .linux_.resources;
  });
}

oci::Resources resources_from(const Limits& limits) {
  oci::Resources resources;
  resources.memory.limit = limits.memory;
  resources.memory.swap = limits.memory_swap;
  resources.memory.reservation = limits.memory_reservation;
  resources.cpu.quota = limits.cpu_quota;
  resources.cpu.period = limits.cpu_period;
  resources.cpu.shares = limits.cpu_share;
  resources.cpu.burst = limits.cpu_burst;
  resources.cpu.realtime_runtime = limits.cpu_rt_runtime;
  resources.cpu.realtime_period = limits.cpu_rt_period;
  if (limits.cpu_idle) resources.cpu.idle = static_cast<std::int64_t>(*limits.cpu_idle);
  resources.cpu.cpus = limits.cpus;
  resources.cpu.mems = limits.mems;
  resources.pids_limit = limits.pids;
  resources.block_io.weight = limits.blkio_weight;
  return resources;
}

}  // namespace

int run_update(const Globals& globals, const Words& words) {
  CLI::App app("Changes limits of a container; what is not named stays");
  app.name("sampan-oci update");
  std::string id;
  Limits limits;
  app.add_option("-r,--resources", limits.file,
                 "File (or -) with resources as JSON; other options are ignored");
  app.add_option("--memory", limits.memory, "Bytes; -1: no limit");
  app.add_option("--memory-swap", limits.memory_swap,
                 "Bytes of memory and swap together; -1: no limit");
  app.add_option("--memory-reservation", limits.memory_reservation, "Bytes");
  app.add_option("--cpu-quota", limits.cpu_quota, "Microseconds in a period");
  app.add_option("--cpu-period", limits.cpu_period, "Microseconds");
  app.add_option("--cpu-share", limits.cpu_share, "Relative weight");
  app.add_option("--cpu-burst", limits.cpu_burst, "Microseconds");
  app.add_option("--cpu-idle", limits.cpu_idle, "0 or 1");
  app.add_option("--cpu-rt-runtime", limits.cpu_rt_runtime, "Microseconds");
  app.add_option("--cpu-rt-period", limits.cpu_rt_period, "Microseconds");
  app.add_option("--cpuset-cpus", limits.cpus, "List of CPUs");
  app.add_option("--cpuset-mems", limits.mems, "List of memory nodes");
  app.add_option("--pids-limit", limits.pids, "Number of processes; -1: no limit");
  app.add_option("--blkio-weight", limits.blkio_weight, "10 to 1000");
  app.add_option("ID", id)->required();
  parse(app, words);
  load(globals, id);
  const oci::Resources resources =
      limits.file.empty() ? resources_from(limits) : parse_resources(limits.file);
  runtime::update(state_dir_of(globals, id), resources);
  return 0;
}

}  // namespace cli_oci
