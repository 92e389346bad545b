// SystemdUnit: a container's control groups as a transient unit of systemd, which makes them, knows
// them and may tell others about them: the driver of --systemd-cgroup.
#pragma once

#include <map>
#include <string>
#include <sys/types.h>
#include <vector>

#include "base/unique_fd.h"
#include "oci/runtime_spec.h"
#include "runtime/bus.h"

namespace runtime {

// Where a unit is: "system.slice:docker:abc" is docker-abc.scope in /system.slice.
struct SystemdUnit {
  std::string name, slice;
  std::string cgroup_path;  // "/system.slice/docker-abc.scope"
  friend bool operator==(const SystemdUnit&, const SystemdUnit&) = default;
};

// `cgroups_path` of the specification, in the form that this driver wants; empty: a name of ours.
// Throws kInvalid.
SystemdUnit parse_systemd_unit(const std::string& cgroups_path, const std::string& id);

// Units of a user's manager have their groups below the manager's own, "system.slice" apart, which
// only the system has: it becomes user.slice. Asks the manager; throws kUnavailable.
void put_below_manager(SystemdUnit& unit, const std::string& bus);

enum class SystemdCgroups { kV1, kV2 };
// What systemd is told of the unit and its limits. The files of the group are written by ourselves
// all the same: they say more than properties can.
std::vector<BusProperty> plan_unit(const SystemdUnit& unit, const std::string& id, pid_t first,
                                   const oci::Resources& resources, SystemdCgroups version);
std::vector<BusProperty> plan_limits(const oci::Resources& resources, SystemdCgroups version);

// "org.systemd.property.NAME" of a container's annotations: properties of its unit, whose values
// are written as in GVariant's text format: "'inactive-or-failed'", "uint64 5", "[\"a\", \"b\"]". A
// name that ends in Sec counts in seconds and becomes the one in USec, as systemd has it. Throws
// kInvalid.
std::vector<BusProperty> parse_unit_annotations(
    const std::map<std::string, std::string>& annotations);

// A process that does nothing, for a scope must not be empty at any time; ends with its owner.
class Placeholder {
 public:
  Placeholder();
  Placeholder(const Placeholder&) = delete;
  Placeholder& operator=(const Placeholder&) = delete;
  ~Placeholder();
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

// All wait until systemd has done it. Throw kUnavailable where no systemd is there.
void start_unit(const std::string& bus, const SystemdUnit& unit,
                const std::vector<BusProperty>& properties);
void attach_to_unit(const std::string& bus, const std::string& name,
                    const std::vector<pid_t>& pids);
void set_unit_limits(const std::string& bus, const std::string& name,
                     const std::vector<BusProperty>& properties);
// A unit that is already gone is no error.
void stop_unit(const std::string& bus, const std::string& name);

}  // namespace runtime
