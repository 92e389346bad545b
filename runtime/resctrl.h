// Resctrl: a container's class of service and its monitoring group, as linux.intelRdt asks for
// them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "oci/runtime_spec.h"

namespace runtime {

// Where the resctrl file system is mounted; empty: nowhere.
std::string find_resctrl();

// What a record keeps: all that later commands need.
struct ResctrlGroup {
  std::string root;         // the mount point; empty: the container has no such group
  std::string class_path;   // of the class of service: the root itself, or a directory below it
  std::string monitor;      // the container's monitoring group; empty: none
  bool owns_class = false;  // made for this container alone, removed with it
  friend bool operator==(const ResctrlGroup&, const ResctrlGroup&) = default;
};

struct ResctrlPlan {
  ResctrlGroup group;
  bool must_exist = false;  // a class that somebody else has configured
  std::vector<std::string> schemata;
  friend bool operator==(const ResctrlPlan&, const ResctrlPlan&) = default;
};

// Pure. Throws kInvalid for what the specification forbids, kUnsupported where `root` is empty.
ResctrlPlan plan_resctrl(const oci::IntelRdt& rdt, const std::string& id, const std::string& root);
std::string render(const ResctrlPlan& plan);  // one step a line

// Throws kConflict where a group that would be the container's own exists already, or a shared
// class has other limits; kNotFound where it must exist. Changes nothing.
void check_resctrl(const ResctrlPlan& plan);
// Makes the groups and sets the limits. What a failure leaves is for remove_resctrl().
void apply_resctrl(const ResctrlPlan& plan);
// A process and its later children; one that has ended is no error.
void join_resctrl(const ResctrlGroup& group, pid_t pid);
// Only the kinds of limits that are named change. Throws kConflict where there is no group.
void update_resctrl(const ResctrlGroup& group, const std::string& l3_cache_schema,
                    const std::string& mem_bw_schema);
// What is missing already is no error. Processes in it fall back to the default class.
void remove_resctrl(const ResctrlGroup& group);

struct ResctrlStatistics {
  struct Domain {  // one L3 cache
    std::uint64_t llc_occupancy = 0, mbm_total_bytes = 0, mbm_local_bytes = 0;
    bool has_occupancy = false, has_bandwidth = false;
  };
  std::string l3_schema_root, l3_schema, mem_bw_schema_root, mem_bw_schema;
  std::string cbm_mask;  // of info/L3; empty: no cache allocation
  std::uint64_t min_cbm_bits = 0, l3_closids = 0;
  bool has_mem_bw = false;
  std::uint64_t bandwidth_gran = 0, delay_linear = 0, min_bandwidth = 0, mem_bw_closids = 0;
  std::vector<Domain> domains;  // of the monitoring group, in the order of their names
};
ResctrlStatistics read_resctrl(const ResctrlGroup& group);

}  // namespace runtime
