#include "runtime/systemd.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <limits>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "runtime/cgroup_details.h"
#include "runtime/cgroup_limits.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

constexpr char kService[] = "org.freedesktop.systemd1";
constexpr char kObject[] = "/org/freedesktop/systemd1";
constexpr char kManager[] = "org.freedesktop.systemd1.Manager";
constexpr int kJobSeconds = 30;

// What a unit's name may have; see systemd.unit(5).
bool is_unit_text(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char letter) {
    return std::isalnum(letter) != 0 ||
           std::string_view(":-_.\\@").find(static_cast<char>(letter)) != std::string_view::npos;
  });
}

// "a-b.slice" is inside "a.slice"; see systemd.slice(5).
std::string expand_slice(const std::string& slice) {
  constexpr std::string_view kSuffix = ".slice";
  if (slice == "-.slice") return {};
  const std::string stem = slice.substr(0, slice.size() - kSuffix.size());
  std::string path;
  for (std::size_t dash = stem.find('-');; dash = stem.find('-', dash + 1)) {
    path += "/" + stem.substr(0, dash) + std::string(kSuffix);
    if (dash == std::string::npos) return path;
  }
}

BusProperty text(std::string name, std::string value) {
  return {.name = std::move(name), .type = "s", .text = std::move(value), .numbers = {}};
}
BusProperty flag(std::string name, bool value) {
  return {
      .name = std::move(name), .type = "b", .text = {}, .number = value ? 1U : 0U, .numbers = {}};
}
BusProperty number(std::string name, std::uint64_t value) {
  return {.name = std::move(name), .type = "t", .text = {}, .number = value, .numbers = {}};
}

// -1 of a limit is systemd's "infinity".
std::uint64_t limit(std::int64_t value) {
  return value < 0 ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(value);
}

// "0-2,5" as a bit for each number, least first.
BusProperty mask(std::string name, const std::string& list) {
  BusProperty property{.name = std::move(name), .type = "ay", .text = {}, .numbers = {}};
  for (const unsigned bit : parse_number_list(list)) {
    property.numbers.resize(std::max<std::size_t>(property.numbers.size(), bit / 8 + 1));
    property.numbers[bit / 8] |= 1U << (bit % 8);
  }
  return property;
}

// systemd counts in microseconds of a second, in whole steps of 10 ms of CPU time, upwards.
void add_quota(std::vector<BusProperty>& properties, const oci::Resources::Cpu& cpu) {
  if (!cpu.quota && !cpu.period) return;
  const std::uint64_t period = cpu.period.value_or(100'000);
  std::uint64_t per_second = std::numeric_limits<std::uint64_t>::max();
  if (cpu.quota.value_or(-1) > 0 && period > 0) {
    per_second = static_cast<std::uint64_t>(*cpu.quota) * 1'000'000 / period;
    per_second = (per_second + 9'999) / 10'000 * 10'000;
  }
  properties.push_back(number("CPUQuotaPerSecUSec", per_second));
  if (cpu.period) properties.push_back(number("CPUQuotaPeriodUSec", *cpu.period));
}

Bus::Call call_of(std::string member, std::string signature, std::string body) {
  return {.destination = kService,
          .path = kObject,
          .interface = kManager,
          .member = std::move(member),
          .signature = std::move(signature),
          .body = std::move(body)};
}

// Before a job is asked for: its end must not be missed.
void listen_for_jobs(Bus& bus) {
  bus.listen_for(
      "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager'"
      ",member='JobRemoved'");
  bus.call(call_of("Subscribe", "", ""));
}

void wait_for_job(Bus& bus, const std::string& job, const std::string& what) {
  for (;;) {
    const BusMessage removed = bus.wait_for_signal("JobRemoved", kJobSeconds);
    if (removed.text_at("uoss", 1) != job) continue;
    const std::string result = removed.text_at("uoss", 3);
    if (result == "done") return;
    throw Error(ErrorKind::kSystem, "systemd: " + what + ": the job ended as \"" + result + "\"");
  }
}

}  // namespace

SystemdUnit parse_systemd_unit(const std::string& cgroups_path, const std::string& id) {
  const std::string words = cgroups_path.empty() ? "system.slice:sampan:" + id : cgroups_path;
  const std::size_t first = words.find(':');
  const std::size_t second = first == std::string::npos ? first : words.find(':', first + 1);
  if (second == std::string::npos) {
    throw Error(ErrorKind::kInvalid, "linux.cgroupsPath \"" + cgroups_path +
                                         "\": with --systemd-cgroup it is \"slice:prefix:name\"");
  }
  SystemdUnit unit;
  unit.slice = words.substr(0, first);
  if (unit.slice.empty()) unit.slice = "system.slice";
  const std::string prefix = words.substr(first + 1, second - first - 1);
  const std::string name = words.substr(second + 1);
  const std::string_view stem =
      std::string_view(unit.slice)
          .substr(0, unit.slice.size() - std::min<std::size_t>(unit.slice.size(), 6));
  const bool slice_ok =
      unit.slice == "-.slice" ||
      (unit.slice.ends_with(".slice") && !stem.empty() && !stem.starts_with('-') &&
       !stem.ends_with('-') && stem.find("--") == std::string_view::npos);
  if (!slice_ok || !is_unit_text(unit.slice) || name.empty() || !is_unit_text(prefix + name)) {
    throw Error(ErrorKind::kInvalid,
                "linux.cgroupsPath \"" + cgroups_path + "\": no names of a slice and a unit");
  }
  unit.name = (prefix.empty() ? name : prefix + "-" + name) + ".scope";
  unit.cgroup_path = expand_slice(unit.slice) + "/" + unit.name;
  return unit;
}

void put_below_manager(SystemdUnit& unit, const std::string& bus_address) {
  BusWriter body;
  body.string(kManager);
  body.string("ControlGroup");
  Bus bus(bus_address);
  const BusMessage answer = bus.call({.destination = kService,
                                      .path = kObject,
                                      .interface = "org.freedesktop.DBus.Properties",
                                      .member = "Get",
                                      .signature = "ss",
                                      .body = body.bytes()});
  const std::string manager = answer.text_at("gs", 1);
  if (!manager.starts_with('/')) {
    throw Error(ErrorKind::kUnavailable, "the user's systemd does not say what its cgroup is");
  }
  if (unit.slice == "system.slice") unit.slice = "user.slice";
  unit.cgroup_path = (manager == "/" ? "" : manager) + expand_slice(unit.slice) + "/" + unit.name;
}

std::vector<BusProperty> plan_limits(const oci::Resources& resources, SystemdCgroups version) {
  const bool v2 = version == SystemdCgroups::kV2;
  std::vector<BusProperty> properties;
  if (resources.memory.limit) {
    properties.push_back(number(v2 ? "MemoryMax" : "MemoryLimit", limit(*resources.memory.limit)));
  }
  if (v2 && resources.memory.reservation) {
    properties.push_back(number("MemoryLow", limit(*resources.memory.reservation)));
  }
  if (v2 && resources.memory.swap && resources.memory.limit) {
    const std::int64_t swap = *resources.memory.swap;
    properties.push_back(
        number("MemorySwapMax",
               limit(swap < 0 ? -1 : std::max<std::int64_t>(swap - *resources.memory.limit, 0))));
  }
  if (resources.cpu.shares && *resources.cpu.shares > 0) {
    properties.push_back(v2 ? number("CPUWeight", weight_from_shares(*resources.cpu.shares))
                            : number("CPUShares", *resources.cpu.shares));
  }
  add_quota(properties, resources.cpu);
  if (v2 && !resources.cpu.cpus.empty())
    properties.push_back(mask("AllowedCPUs", resources.cpu.cpus));
  if (v2 && !resources.cpu.mems.empty())
    properties.push_back(mask("AllowedMemoryNodes", resources.cpu.mems));
  if (resources.pids_limit && *resources.pids_limit != 0) {
    properties.push_back(number("TasksMax", limit(*resources.pids_limit)));
  }
  return properties;
}

std::vector<BusProperty> plan_unit(const SystemdUnit& unit, const std::string& id, pid_t first,
                                   const oci::Resources& resources, SystemdCgroups version) {
  std::vector<BusProperty> properties = {
      text("Description", "container " + id),
      text("Slice", unit.slice),
      {.name = "PIDs", .type = "au", .text = {}, .numbers = {static_cast<std::uint64_t>(first)}},
      flag("Delegate", true),
      flag("MemoryAccounting", true),
      flag("CPUAccounting", true),
      flag(version == SystemdCgroups::kV2 ? "IOAccounting" : "BlockIOAccounting", true),
      flag("TasksAccounting", true),
      // Not stopped early at shutdown, but by whoever made the container.
      flag("DefaultDependencies", false)};
  const std::vector<BusProperty> limits = plan_limits(resources, version);
  properties.insert(properties.end(), limits.begin(), limits.end());
  return properties;
}

Placeholder::Placeholder() : pid_(base::check(fork(), "fork")) {
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) ::pause();
}

Placeholder::~Placeholder() {
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void start_unit(const std::string& bus_address, const SystemdUnit& unit,
                const std::vector<BusProperty>& properties) {
  Bus bus(bus_address);
  listen_for_jobs(bus);
  BusWriter body;
  body.string(unit.name);
  body.string("replace");
  write_properties(body, properties);
  body.end_array(body.begin_array(8));  // no auxiliary units
  const BusMessage answer =
      bus.call(call_of("StartTransientUnit", "ssa(sv)a(sa(sv))", body.bytes()));
  wait_for_job(bus, answer.text_at("o", 0), "start " + unit.name);
}

void attach_to_unit(const std::string& bus_address, const std::string& name,
                    const std::vector<pid_t>& pids) {
  BusWriter body;
  body.string(name);
  body.string("");
  const auto array = body.begin_array(4);
  for (const pid_t pid : pids) body.u32(static_cast<std::uint32_t>(pid));
  body.end_array(array);
  Bus(bus_address).call(call_of("AttachProcessesToUnit", "ssau", body.bytes()));
}

void set_unit_limits(const std::string& bus_address, const std::string& name,
                     const std::vector<BusProperty>& properties) {
  if (properties.empty()) return;
  BusWriter body;
  body.string(name);
  body.boolean(true);  // until the next boot
  write_properties(body, properties);
  Bus(bus_address).call(call_of("SetUnitProperties", "sba(sv)", body.bytes()));
}

void stop_unit(const std::string& bus_address, const std::string& name) {
  Bus bus(bus_address);
  listen_for_jobs(bus);
  BusWriter body;
  body.string(name);
  body.string("replace");
  try {
    const BusMessage answer = bus.call(call_of("StopUnit", "ss", body.bytes()));
    wait_for_job(bus, answer.text_at("o", 0), "stop " + name);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kNotFound) throw;  // its last process ended it
  }
}

}  // namespace runtime
