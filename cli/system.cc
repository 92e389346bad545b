// version, info.
#include <algorithm>
#include <sys/utsname.h>
#include <thread>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/time.h"
#include "cli/command.h"
#include "cli/version.h"
#include "engine/template/template.h"

namespace cli {
namespace {

using Json = nlohmann::ordered_json;

// The whole value as a template, as JSON, or as "Name: value" lines.
int show(const Json& value, const std::string& format) {
  if (format == "json") {
    print(value.dump() + "\n");
  } else if (!format.empty()) {
    print(engine::Template(format).render(nlohmann::json::parse(value.dump())) + "\n");
  } else {
    for (const auto& [key, item] : value.items()) {
      print(" " + key + ": " + (item.is_string() ? item.get<std::string>() : item.dump()) + "\n");
    }
  }
  return 0;
}

utsname kernel() {
  utsname name = {};
  uname(&name);
  return name;
}

}  // namespace

int run_version(const Globals&, const Words& words) {
  std::string format;
  parse_arguments(
      {.command = "version",
       .synopsis = "[OPTIONS]",
       .summary = "Show the sampan version information"},
      {{"-f,--format", "string", "Format output using a Go template, or \"json\"", &format}},
      words);
  const utsname name = kernel();
  if (format.empty()) print("sampan\n");
  return show(
      {{"Version", kVersion},
       {"OciRuntimeSpec", "1.2.0"},
       {"Os", "linux"},
       {"Arch", std::string(name.machine) == "x86_64" ? "amd64" : std::string(name.machine)},
       {"KernelVersion", name.release}},
      format);
}

int run_info(const Globals& globals, const Words& words) {
  std::string format;
  parse_arguments(
      {.command = "info", .synopsis = "[OPTIONS]", .summary = "Display system-wide information"},
      {{"-f,--format", "string", "Format output using a Go template, or \"json\"", &format}},
      words);
  engine::Engine engine(globals.config);
  const auto containers = engine.list_containers();
  const auto count = [&](storage::ContainerStatus status) {
    return std::count_if(containers.begin(), containers.end(),
                         [&](const auto& info) { return info.row.status == status; });
  };
  const utsname name = kernel();
  const auto running = count(storage::ContainerStatus::kRunning);
  const auto paused = count(storage::ContainerStatus::kPaused);
  const std::int64_t memory =
      static_cast<std::int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return show(
      {{"Containers", containers.size()},
       {"ContainersRunning", running},
       {"ContainersPaused", paused},
       {"ContainersStopped", static_cast<std::int64_t>(containers.size()) - running - paused},
       {"Images", engine.store().list_images().size()},
       {"Driver", "overlay2"},
       {"LoggingDriver", "json-file"},
       {"CgroupDriver", "cgroupfs"},
       {"CgroupVersion", access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0 ? "2" : "1"},
       {"KernelVersion", name.release},
       {"OSType", "linux"},
       {"Architecture", name.machine},
       {"NCPU", std::thread::hardware_concurrency()},
       {"MemTotal", memory},
       {"Name", name.nodename},
       {"RootDir", globals.config.root.string()},
       {"StateDir", globals.config.state.string()},
       {"ServerVersion", kVersion}},
      format);
}

}  // namespace cli
