// What the kernel keeps for a process beside its identity: labels, scheduling, memory policy,
// personality, clocks.
#include <algorithm>
#include <charconv>
#include <linux/sched.h>

#include "base/error.h"
#include "runtime/name_lists.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

// struct sched_attr of <linux/sched/types.h>, which clashes with libc's <sched.h>.
struct SchedulerAttributes {
  std::uint32_t size = sizeof(SchedulerAttributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime = 0, deadline = 0, period = 0;
};
static_assert(sizeof(SchedulerAttributes) == 48);

template <class Number>
struct Name {
  const char* name;
  Number value;
};

constexpr Name<std::uint32_t> kPolicies[] = {
    {"SCHED_OTHER", SCHED_NORMAL}, {"SCHED_FIFO", SCHED_FIFO}, {"SCHED_RR", SCHED_RR},
    {"SCHED_BATCH", SCHED_BATCH},  {"SCHED_IDLE", SCHED_IDLE}, {"SCHED_DEADLINE", SCHED_DEADLINE}};
constexpr Name<std::uint64_t> kSchedulerFlags[] = {
    {"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
    {"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
    {"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
    {"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
    {"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
    {"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
    {"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX}};
// Of <linux/ioprio.h>, which is no C++ since 6.1.192 (it has a parameter called class):
// ioprio_set(2), NOTES.
constexpr Name<std::uint64_t> kIoClasses[] = {
    {"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}};
constexpr int kIoClassShift = 13;
// PER_LINUX and PER_LINUX32 of <linux/personality.h>.
constexpr Name<std::uint64_t> kDomains[] = {{"LINUX", 0}, {"LINUX32", 8}};
// MPOL_* of <linux/mempolicy.h>; the last two modes are newer than Debian 12's.
constexpr Name<std::uint64_t> kMemoryModes[] = {{"MPOL_DEFAULT", 0},
                                                {"MPOL_PREFERRED", 1},
                                                {"MPOL_BIND", 2},
                                                {"MPOL_INTERLEAVE", 3},
                                                {"MPOL_LOCAL", 4},
                                                {"MPOL_PREFERRED_MANY", 5},
                                                {"MPOL_WEIGHTED_INTERLEAVE", 6}};
constexpr Name<std::uint64_t> kMemoryFlags[] = {{"MPOL_F_STATIC_NODES", 1U << 15U},
                                                {"MPOL_F_RELATIVE_NODES", 1U << 14U},
                                                {"MPOL_F_NUMA_BALANCING", 1U << 13U}};

constexpr std::uint32_t kLargestNumber = 8191;  // of a processor or a memory node

template <class Table>
auto value_of(const Table& table, const std::string& name, const char* field) {
  for (const auto& entry : table) {
    if (name == entry.name) return entry.value;
  }
  throw Error(ErrorKind::kInvalid, std::string(field) + ": \"" + name + "\" is not known");
}

[[noreturn]] void throw_field(const std::string& field, const std::string& reason) {
  throw Error(ErrorKind::kInvalid, field + ": " + reason);
}

// A value that the policy does not look at is a mistake of whoever wrote it.
void check_scheduler(const oci::Scheduler& scheduler, std::uint32_t policy) {
  const bool is_realtime = policy == SCHED_FIFO || policy == SCHED_RR;
  const bool has_nice = policy == SCHED_NORMAL || policy == SCHED_BATCH;
  const std::string field = "process.scheduler.";
  const std::string with = "has no meaning with " + scheduler.policy;
  if (scheduler.nice.value_or(0) != 0 && !has_nice) throw_field(field + "nice", with);
  if (scheduler.priority.value_or(0) != 0 && !is_realtime) throw_field(field + "priority", with);
  if (policy != SCHED_DEADLINE &&
      (scheduler.runtime.value_or(0) != 0 || scheduler.deadline.value_or(0) != 0 ||
       scheduler.period.value_or(0) != 0)) {
    throw_field(field + "runtime, deadline and period", with);
  }
  if (scheduler.nice && (*scheduler.nice < -20 || *scheduler.nice > 19)) {
    throw_field(field + "nice", std::to_string(*scheduler.nice) + " is not from -20 to 19");
  }
  if (scheduler.priority && (*scheduler.priority < 0 || *scheduler.priority > 99)) {
    throw_field(field + "priority", std::to_string(*scheduler.priority) + " is not from 0 to 99");
  }
}

void plan_scheduler(const oci::Scheduler& scheduler, Plan& plan) {
  const std::uint32_t policy = value_of(kPolicies, scheduler.policy, "process.scheduler.policy");
  check_scheduler(scheduler, policy);
  SchedulerAttributes attributes = {
      .policy = policy,
      .nice = scheduler.nice.value_or(0),
      .priority = static_cast<std::uint32_t>(scheduler.priority.value_or(0)),
      .runtime = scheduler.runtime.value_or(0),
      .deadline = scheduler.deadline.value_or(0),
      .period = scheduler.period.value_or(0)};
  for (const std::string& flag : scheduler.flags) {
    attributes.flags |= value_of(kSchedulerFlags, flag, "process.scheduler.flags");
  }
  Step& step = add(plan, StepKind::kScheduler);
  step.note = scheduler.policy;
  step.data.assign(reinterpret_cast<const char*>(&attributes), sizeof attributes);
}

void plan_io_priority(const oci::IoPriority& priority, Plan& plan) {
  const std::uint64_t io_class =
      value_of(kIoClasses, priority.io_class, "process.ioPriority.class");
  if (priority.priority < 0 || priority.priority > 7) {
    throw_field("process.ioPriority.priority",
                std::to_string(priority.priority) + " is not from 0 to 7");
  }
  Step& step = add(plan, StepKind::kIoPriority);
  step.number = io_class << kIoClassShift | static_cast<std::uint64_t>(priority.priority);
  step.note = priority.io_class + " " + std::to_string(priority.priority);
}

void plan_personality(const oci::Personality& personality, Plan& plan) {
  if (!personality.flags.empty()) {
    throw Error(ErrorKind::kUnsupported, "linux.personality.flags: the specification has none");
  }
  Step& step = add(plan, StepKind::kPersonality);
  step.number = value_of(kDomains, personality.domain, "linux.personality.domain");
  step.note = personality.domain;
}

void plan_memory_policy(const oci::MemoryPolicy& policy, Plan& plan) {
  Step& step = add(plan, StepKind::kMemoryPolicy);
  step.number = value_of(kMemoryModes, policy.mode, "linux.memoryPolicy.mode");
  step.note = policy.mode + (policy.nodes.empty() ? "" : " " + policy.nodes);
  for (const std::string& flag : policy.flags) {
    step.number |= value_of(kMemoryFlags, flag, "linux.memoryPolicy.flags");
  }
  if (!policy.nodes.empty()) {
    step.data = parse_number_mask(policy.nodes, "linux.memoryPolicy.nodes");
  }
}

void add_label(const std::string& file, const std::string& text, Plan& plan) {
  Step& step = add(plan, StepKind::kProcFile);
  step.target = "/proc/thread-self/" + file;
  step.source = text;
}

std::uint32_t parse_number(const char*& at, const char* end, const std::string& field) {
  std::uint32_t number = 0;
  const auto result = std::from_chars(at, end, number);
  if (result.ec != std::errc() || number > kLargestNumber) {
    throw_field(field, "\"" + std::string(at, end) + "\" is not a list of numbers like 0-3,7");
  }
  at = result.ptr;
  return number;
}

}  // namespace

std::string parse_number_mask(const std::string& text, const std::string& field) {
  std::string mask;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (;;) {
    const std::uint32_t first = parse_number(at, end, field);
    std::uint32_t last = first;
    if (at != end && *at == '-') last = parse_number(++at, end, field);
    if (last < first) throw_field(field, "\"" + text + "\" counts backwards");
    // Whole words of the kernel.
    mask.resize(std::max<std::size_t>(mask.size(), std::size_t{last / 64 + 1} * 8), '\0');
    for (std::uint32_t number = first; number <= last; ++number) {
      mask[number / 8] =
          static_cast<char>(static_cast<unsigned char>(mask[number / 8]) | 1U << (number % 8));
    }
    if (at == end) return mask;
    if (*at++ != ',') throw_field(field, "\"" + text + "\" is not a list of numbers like 0-3,7");
  }
}

std::vector<std::string> known_memory_modes() { return names_of(kMemoryModes); }
std::vector<std::string> known_memory_flags() { return names_of(kMemoryFlags); }

// Taken by the next execve(2), whatever happens until then. The session keyring has a label too.
void plan_labels(const oci::Process& process, const HostFacts& host, Plan& plan) {
  const std::string& profile = process.apparmor_profile;
  if (!profile.empty()) {
    if (!host.apparmor_file.empty()) {
      add_label(host.apparmor_file, "exec " + profile, plan);
    } else if (profile != "unconfined") {
      throw Error(ErrorKind::kUnsupported, "process.apparmorProfile: this host has no AppArmor");
    }
  }
  if (process.selinux_label.empty()) return;
  if (!host.has_selinux) {
    throw Error(ErrorKind::kUnsupported, "process.selinuxLabel: this host has no SELinux");
  }
  add_label("attr/keycreate", process.selinux_label, plan);
  add_label("attr/exec", process.selinux_label, plan);
}

void plan_scheduling(const oci::Process& process, const oci::Linux& settings, Plan& plan) {
  if (process.scheduler) plan_scheduler(*process.scheduler, plan);
  if (process.io_priority) plan_io_priority(*process.io_priority, plan);
  if (settings.memory_policy) plan_memory_policy(*settings.memory_policy, plan);
  if (settings.personality) plan_personality(*settings.personality, plan);
}

// A further process is born after the settings, which need rights that it does not have.
void check_scheduling_survives_fork(const oci::Process& process) {
  if (!process.scheduler) return;
  const auto& flags = process.scheduler->flags;
  if (process.scheduler->policy == "SCHED_DEADLINE" ||
      std::find(flags.begin(), flags.end(), "SCHED_FLAG_RESET_ON_FORK") != flags.end()) {
    throw Error(ErrorKind::kUnsupported,
                "process.scheduler: SCHED_DEADLINE and SCHED_FLAG_RESET_ON_FORK are for a "
                "container's first process");
  }
}

void plan_affinity(const oci::Process& process, AffinityMoment moment, Plan& plan) {
  if (!process.exec_cpu_affinity) return;
  const bool before = moment == AffinityMoment::kBeforeCgroup;
  const std::string& list =
      before ? process.exec_cpu_affinity->before : process.exec_cpu_affinity->after;
  if (list.empty()) return;
  Step& step = add(plan, StepKind::kCpuAffinity);
  step.data = parse_number_mask(
      list, before ? "process.execCPUAffinity.initial" : "process.execCPUAffinity.final");
  step.note = list;
}

void plan_time_namespace(const oci::RuntimeSpec& spec, Plan& plan) {
  const auto& offsets = spec.linux_.time_offsets;
  if (offsets.empty()) return;
  if (!has_new_namespace(spec, oci::NamespaceType::kTime)) {
    throw_field("linux.timeOffsets", "only a new time namespace has offsets");
  }
  Step& step = add(plan, StepKind::kTimeNamespace);
  for (const auto& [clock, offset] : offsets) {
    if (offset.nanoseconds >= 1'000'000'000) {
      throw_field("linux.timeOffsets." + clock + ".nanosecs", "a second or more");
    }
    step.source += clock + " " + std::to_string(offset.seconds) + " " +
                   std::to_string(offset.nanoseconds) + "\n";
  }
}

}  // namespace runtime
