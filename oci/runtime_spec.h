// RuntimeSpec: config.json of the OCI runtime specification, the part for Linux, as a value.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace oci {

struct IdMapping {
  std::uint32_t container_id = 0, host_id = 0, size = 0;
  friend bool operator==(const IdMapping&, const IdMapping&) = default;
};

struct Mount {
  std::string destination, type, source;
  std::vector<std::string> options;
  std::vector<IdMapping> uid_mappings, gid_mappings;  // of an idmapped mount
  friend bool operator==(const Mount&, const Mount&) = default;
};

struct User {
  std::uint32_t uid = 0, gid = 0;
  std::optional<std::uint32_t> umask;
  std::vector<std::uint32_t> additional_gids;
  friend bool operator==(const User&, const User&) = default;
};

struct Rlimit {
  std::string type;  // "RLIMIT_NOFILE"
  std::uint64_t soft = 0, hard = 0;
  friend bool operator==(const Rlimit&, const Rlimit&) = default;
};

struct Capabilities {  // "CAP_CHOWN"
  std::vector<std::string> bounding, effective, inheritable, permitted, ambient;
  friend bool operator==(const Capabilities&, const Capabilities&) = default;
};

struct ConsoleSize {
  std::uint16_t height = 0, width = 0;
  friend bool operator==(const ConsoleSize&, const ConsoleSize&) = default;
};

struct Scheduler {     // sched_setattr(2)
  std::string policy;  // "SCHED_FIFO"
  std::optional<int> nice, priority;
  std::vector<std::string> flags;  // "SCHED_FLAG_RESET_ON_FORK"
  std::optional<std::uint64_t> runtime, deadline, period;
  friend bool operator==(const Scheduler&, const Scheduler&) = default;
};

struct IoPriority {      // ioprio_set(2)
  std::string io_class;  // "IOPRIO_CLASS_BE"
  int priority = 0;
  friend bool operator==(const IoPriority&, const IoPriority&) = default;
};

struct CpuAffinity {          // of exec alone; lists of processors: "0-3,7"
  std::string before, after;  // joining the cgroup: `initial` and `final`
  friend bool operator==(const CpuAffinity&, const CpuAffinity&) = default;
};

struct Process {
  bool terminal = false;
  std::optional<ConsoleSize> console_size;
  User user;
  std::vector<std::string> args, env;
  std::string cwd = "/";
  std::optional<Capabilities> capabilities;
  std::vector<Rlimit> rlimits;
  bool no_new_privileges = false;
  std::string apparmor_profile, selinux_label;
  std::optional<int> oom_score_adj;
  std::optional<Scheduler> scheduler;
  std::optional<IoPriority> io_priority;
  std::optional<CpuAffinity> exec_cpu_affinity;
  friend bool operator==(const Process&, const Process&) = default;
};

struct Root {
  std::string path = "rootfs";  // relative to the bundle, or absolute
  bool readonly = false;
  friend bool operator==(const Root&, const Root&) = default;
};

struct Hook {
  std::string path;
  std::vector<std::string> args, env;
  std::optional<int> timeout;  // seconds
  friend bool operator==(const Hook&, const Hook&) = default;
};

struct Hooks {
  std::vector<Hook> prestart, create_runtime, create_container, start_container, poststart,
      poststop;
  friend bool operator==(const Hooks&, const Hooks&) = default;
};

enum class NamespaceType { kMount, kPid, kNetwork, kIpc, kUts, kUser, kCgroup, kTime };

struct Namespace {
  NamespaceType type = NamespaceType::kMount;
  std::string path;  // empty: a new one
  friend bool operator==(const Namespace&, const Namespace&) = default;
};

struct Device {
  std::string path;
  char type = 'c';  // 'c', 'u', 'b', 'p'
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint32_t> file_mode, uid, gid;
  friend bool operator==(const Device&, const Device&) = default;
};

struct DeviceRule {
  bool allow = false;
  char type = 'a';                           // 'a', 'b', 'c'
  std::optional<std::int64_t> major, minor;  // none: any
  std::string access = "rwm";
  friend bool operator==(const DeviceRule&, const DeviceRule&) = default;
};

struct WeightDevice {
  std::int64_t major = 0, minor = 0;
  std::optional<std::uint16_t> weight, leaf_weight;
  friend bool operator==(const WeightDevice&, const WeightDevice&) = default;
};

struct ThrottleDevice {
  std::int64_t major = 0, minor = 0;
  std::uint64_t rate = 0;
  friend bool operator==(const ThrottleDevice&, const ThrottleDevice&) = default;
};

struct RdmaLimit {
  std::optional<std::uint32_t> hca_handles, hca_objects;
  friend bool operator==(const RdmaLimit&, const RdmaLimit&) = default;
};

struct Resources {
  std::vector<DeviceRule> devices;
  struct Memory {
    std::optional<std::int64_t> limit, reservation, swap, kernel, kernel_tcp;  // bytes; -1: none
    std::optional<std::uint64_t> swappiness;
    std::optional<bool> disable_oom_killer, use_hierarchy, check_before_update;
    friend bool operator==(const Memory&, const Memory&) = default;
  } memory;
  struct Cpu {
    std::optional<std::uint64_t> shares, period, realtime_period, burst;
    std::optional<std::int64_t> quota, realtime_runtime, idle;
    std::string cpus, mems;
    friend bool operator==(const Cpu&, const Cpu&) = default;
  } cpu;
  std::optional<std::int64_t> pids_limit;
  struct BlockIo {
    std::optional<std::uint16_t> weight, leaf_weight;
    std::vector<WeightDevice> weight_devices;
    std::vector<ThrottleDevice> throttle_read_bps, throttle_write_bps, throttle_read_iops,
        throttle_write_iops;
    friend bool operator==(const BlockIo&, const BlockIo&) = default;
  } block_io;
  std::map<std::string, std::uint64_t> hugepage_limits;  // "2MB" to bytes
  struct Network {
    std::optional<std::uint32_t> class_id;
    std::map<std::string, std::uint32_t> priorities;
    friend bool operator==(const Network&, const Network&) = default;
  } network;
  std::map<std::string, RdmaLimit> rdma;  // by device
  std::map<std::string, std::string> unified;
  friend bool operator==(const Resources&, const Resources&) = default;
};

struct SyscallArgument {
  std::uint32_t index = 0;
  std::uint64_t value = 0, value_two = 0;
  std::string op;  // "SCMP_CMP_EQ"
  friend bool operator==(const SyscallArgument&, const SyscallArgument&) = default;
};

struct SyscallRule {
  std::vector<std::string> names;
  std::string action;  // "SCMP_ACT_ALLOW"
  std::optional<std::uint32_t> errno_ret;
  std::vector<SyscallArgument> args;
  friend bool operator==(const SyscallRule&, const SyscallRule&) = default;
};

struct Seccomp {
  std::string default_action;
  std::optional<std::uint32_t> default_errno_ret;
  std::vector<std::string> architectures;  // "SCMP_ARCH_X86_64"
  std::vector<std::string> flags;
  std::string listener_path, listener_metadata;
  std::vector<SyscallRule> syscalls;
  friend bool operator==(const Seccomp&, const Seccomp&) = default;
};

struct TimeOffset {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
  friend bool operator==(const TimeOffset&, const TimeOffset&) = default;
};

struct IntelRdt {
  std::string clos_id, l3_cache_schema, mem_bw_schema;
  std::vector<std::string> schemata;
  bool enable_cmt = false, enable_mbm = false, enable_monitoring = false;
  friend bool operator==(const IntelRdt&, const IntelRdt&) = default;
};

struct MemoryPolicy {       // set_mempolicy(2)
  std::string mode, nodes;  // "MPOL_BIND", "0-1"
  std::vector<std::string> flags;
  friend bool operator==(const MemoryPolicy&, const MemoryPolicy&) = default;
};

struct Personality {   // personality(2)
  std::string domain;  // "LINUX", "LINUX32"
  std::vector<std::string> flags;
  friend bool operator==(const Personality&, const Personality&) = default;
};

struct Linux {
  std::vector<Namespace> namespaces;
  std::vector<IdMapping> uid_mappings, gid_mappings;
  std::map<std::string, TimeOffset> time_offsets;  // "monotonic", "boottime"
  std::vector<Device> devices;
  std::map<std::string, std::string> net_devices;  // the host's name to the container's, or ""
  std::string cgroups_path;
  Resources resources;
  std::string rootfs_propagation;
  std::optional<Seccomp> seccomp;
  std::map<std::string, std::string> sysctl;
  std::vector<std::string> masked_paths, readonly_paths;
  std::string mount_label;
  std::optional<IntelRdt> intel_rdt;
  std::optional<MemoryPolicy> memory_policy;
  std::optional<Personality> personality;
  friend bool operator==(const Linux&, const Linux&) = default;
};

struct RuntimeSpec {
  std::string oci_version = "1.0.2";
  Root root;
  std::vector<Mount> mounts;
  std::optional<Process> process;
  std::string hostname, domainname;
  Hooks hooks;
  std::map<std::string, std::string> annotations;
  Linux linux_;
  friend bool operator==(const RuntimeSpec&, const RuntimeSpec&) = default;
};

// At most 16 MiB of JSON. A field that this build does not know but the specification says must be
// obeyed is refused by name rather than ignored. Throws kInvalid.
RuntimeSpec parse_runtime_spec(std::string_view json);
Process parse_process(std::string_view json);              // what `exec --process FILE` reads
std::string render_runtime_spec(const RuntimeSpec& spec);  // parse(render(x)) == x

}  // namespace oci
