#include "runtime/launch.h"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <span>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <utility>

#include "base/descriptor_passing.h"
#include "base/files.h"
#include "base/trace.h"
#include "runtime/child.h"
#include "runtime/child_call.h"
#include "runtime/id_mapped.h"
#include "runtime/outside_mount.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

// The plan as the child reads it. Points into `plan`, which must stay where it is.
struct LoweredPlan {
  std::vector<Op> ops;
  std::vector<std::vector<const char*>> words;
  std::vector<const char*> argv, envp;
  std::vector<UniqueFd> descriptors;
};

std::vector<const char*> pointers_to(const std::vector<std::string>& strings) {
  std::vector<const char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (const std::string& string : strings) pointers.push_back(string.c_str());
  pointers.push_back(nullptr);
  return pointers;
}

const char* text_or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

// A namespace file of the wanted type; a path of the spec may name anything.
UniqueFd open_namespace(const std::string& path, std::uint64_t flag) {
  return base::while_doing("linux.namespaces", [&] {
    UniqueFd fd = base::open_file(path, O_RDONLY | O_NONBLOCK);
    const int type = ioctl(fd.get(), NS_GET_NSTYPE);
    if (type < 0 || static_cast<std::uint64_t>(type) != flag) {
      throw Error(ErrorKind::kInvalid, path + ": not a namespace of that type");
    }
    return fd;
  });
}

int descriptor_for(const Step& step, const LaunchInputs& inputs, std::size_t& task,
                   LoweredPlan& lowered) {
  if (step.kind == StepKind::kJoinCgroup) {
    return inputs.cgroups == nullptr ? -1 : inputs.cgroups->task_fds.at(task++).get();
  }
  if (!step.id_map.empty() || step.is_outside()) {
    lowered.descriptors.push_back(step.kind == StepKind::kRootOverlay
                                      ? mount_id_mapped_overlay(step)
                                  : !step.type.empty() ? mount_for_child(step)
                                                       : clone_id_mapped(step));
    return lowered.descriptors.back().get();
  }
  if (step.kind != StepKind::kSetNamespace) return step.fd;
  if (step.target.empty()) return inputs.container_pidfd;
  lowered.descriptors.push_back(open_namespace(step.target, step.flags));
  return lowered.descriptors.back().get();
}

LoweredPlan lower(const Plan& plan, const LaunchInputs& inputs) {
  LoweredPlan lowered;
  lowered.ops.reserve(plan.steps.size());
  lowered.words.reserve(plan.steps.size());
  std::size_t task = 0;
  for (const Step& step : plan.steps) {
    Op& op = lowered.ops.emplace_back();
    static_cast<StepNumbers&>(op) = step;
    op.kind = step.kind;
    op.fd = descriptor_for(step, inputs, task, lowered);
    op.source = text_or_null(step.source);
    op.target = text_or_null(step.target);
    op.type = text_or_null(step.type);
    op.data = step.data.data();
    op.data_size = step.data.size();
    lowered.words.push_back(pointers_to(step.words));
    op.words = lowered.words.back().data();
  }
  lowered.argv = pointers_to(plan.argv);
  lowered.envp = pointers_to(plan.envp);
  return lowered;
}

// Both ends above the descriptors that the container gets.
std::pair<UniqueFd, UniqueFd> make_control(int preserve_fds) {
  int ends[2] = {-1, -1};
  base::check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  if (ours.get() < 3 + preserve_fds) {
    ours.reset(base::check(fcntl(ours.get(), F_DUPFD_CLOEXEC, 3 + preserve_fds), "fcntl"));
  }
  if (theirs.get() < 3 + preserve_fds) {
    theirs.reset(base::check(fcntl(theirs.get(), F_DUPFD_CLOEXEC, 3 + preserve_fds), "fcntl"));
  }
  return {std::move(ours), std::move(theirs)};
}

// Children are born into another pid namespace while this lives; we stay in ours. See setns(2).
class PidNamespaceOfChildren {
 public:
  explicit PidNamespaceOfChildren(const std::string& path) {
    if (path.empty()) return;
    own_ = base::open_file("/proc/self/ns/pid", O_RDONLY);
    const UniqueFd theirs = open_namespace(path, CLONE_NEWPID);
    base::check(setns_of(theirs.get()), "join pid namespace " + path);
  }
  PidNamespaceOfChildren(const PidNamespaceOfChildren&) = delete;
  PidNamespaceOfChildren& operator=(const PidNamespaceOfChildren&) = delete;
  ~PidNamespaceOfChildren() {
    if (own_) setns_of(own_.get());
  }

 private:
  static int setns_of(int fd) {
    return static_cast<int>(syscall(SYS_setns, fd, static_cast<int>(CLONE_NEWPID)));
  }
  UniqueFd own_;
};

Launched::Timings make_timings(std::size_t count) {
  Launched::Timings timings;
  if (!base::is_tracing()) return timings;
  void* const memory = mmap(nullptr, count * sizeof(std::uint64_t), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return timings;
  timings.values = static_cast<std::uint64_t*>(memory);
  timings.count = count;
  return timings;
}

// The child's own, while everything else in memory is shared.
class Stack {
 public:
  void allocate() {
    void* const memory = mmap(nullptr, kSize, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) base::throw_errno("memory for the container's process");
    memory_ = memory;
    base::check(mprotect(memory_, kGuardSize, PROT_NONE), "mprotect");
  }
  Stack() = default;
  Stack(const Stack&) = delete;
  Stack& operator=(const Stack&) = delete;
  ~Stack() {
    if (memory_ != nullptr) munmap(memory_, kSize);
  }
  std::uint64_t address() const { return reinterpret_cast<std::uintptr_t>(memory_); }

  // Of which only what is touched costs anything; the deepest is the copy of a tree.
  static constexpr std::size_t kSize = std::size_t{1} << 20U;

 private:
  static constexpr std::size_t kGuardSize = 64U << 10U;
  void* memory_ = nullptr;
};

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kSharesMemory = false;  // it keeps books about stacks
#else
constexpr bool kSharesMemory = kMayShareMemory;
#endif

// clone3(2) as libc has no function for it: with a stack of its own the child can't return from
// where it was cloned.
long clone_onto_stack(clone_args& arguments, const ChildPlan& plan) {
  void (*const entry)(const ChildPlan&) noexcept = run_child;
#if defined(__x86_64__)
  long result = SYS_clone3;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "mov %[plan], %%rdi\n\t"
      "xor %%ebp, %%ebp\n\t"
      "call *%[entry]\n\t"
      "ud2\n\t"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), [plan] "r"(&plan), [entry] "r"(entry)
      : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long number asm("x8") = SYS_clone3;
  register long result asm("x0") = reinterpret_cast<long>(&arguments);
  register long size asm("x1") = sizeof arguments;
  asm volatile(
      "svc 0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x0, %[plan]\n\t"
      "blr %[entry]\n\t"
      "brk #0\n\t"
      "1:"
      : "+r"(result)
      : "r"(number), "r"(size), [plan] "r"(&plan), [entry] "r"(entry)
      : "memory");
  return result;
#else
  static_assert(!kMayShareMemory);
  return raw_call(SYS_clone3, as_word(&arguments), sizeof arguments, 0, 0, 0, 0);
#endif
}

// A child that runs the plan: our handlers must not run in it, so signals wait. Without a stack it
// is a copy of this process.
pid_t clone_child(const ChildPlan& child_plan, std::uint64_t flags, const Stack& stack,
                  int cgroup_fd, int& pidfd) {
  clone_args arguments = {};
  arguments.flags = flags | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  if (stack.address() != 0) {
    arguments.flags |= CLONE_VM;
    arguments.stack = stack.address();
    arguments.stack_size = Stack::kSize;
  }
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  if (cgroup_fd >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  }
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  long pid = 0;
  if (stack.address() != 0) {
    pid = clone_onto_stack(arguments, child_plan);
  } else {
    pid = raw_call(SYS_clone3, as_word(&arguments), sizeof arguments, 0, 0, 0, 0);
    if (pid == 0) run_child(child_plan);
  }
  sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) base::throw_errno("clone", static_cast<int>(-pid));
  return static_cast<pid_t>(pid);
}

}  // namespace

Launched::Timings::Timings(Timings&& other) noexcept
    : values(std::exchange(other.values, nullptr)), count(std::exchange(other.count, 0)) {}

Launched::Timings::~Timings() {
  if (values != nullptr) munmap(values, count * sizeof(std::uint64_t));
}

struct ChildMemory {
  LoweredPlan lowered;
  ChildPlan plan;
  Stack stack;
};

void ChildMemoryDeleter::operator()(ChildMemory* memory) const noexcept { delete memory; }

Launched launch(const Plan& plan, const LaunchInputs& inputs) {
  Launched child{.timings = make_timings(plan.steps.size())};
  child.memory.reset(new ChildMemory{.lowered = lower(plan, inputs)});
  LoweredPlan& lowered = child.memory->lowered;
  auto [ours, theirs] = make_control(inputs.preserve_fds);
  child.memory->plan = {
      .ops = lowered.ops.data(),
      .count = static_cast<std::uint32_t>(lowered.ops.size()),
      .control_fd = theirs.get(),
      .parent_fd = ours.get(),
      .gate_fd = inputs.gate_fd,
      .start_report_fd = inputs.start_report_fd,
      .started_fd = inputs.started_fd,
      .stdio = {inputs.stdio.in, inputs.stdio.out, inputs.stdio.err},
      .preserved = inputs.preserve_fds,
      .argv = lowered.argv.data(),
      .envp = lowered.envp.data(),
      .stays_dumpable = plan.stays_dumpable,
      .ignored_signals = plan.ignored_signals,
      .timings = child.timings.values,
  };
  if (plan.shares_memory && kSharesMemory) child.memory->stack.allocate();
  int pidfd = -1;
  {
    const PidNamespaceOfChildren born_there(plan.pid_namespace);
    const int cgroup_fd = inputs.cgroups != nullptr ? inputs.cgroups->clone_into.get() : -1;
    child.pid =
        clone_child(child.memory->plan, plan.clone_flags, child.memory->stack, cgroup_fd, pidfd);
  }
  child.pidfd.reset(pidfd);
  child.control = std::move(ours);
  lowered.descriptors.clear();  // the child has its own
  return child;
}

std::optional<Heard> hear(int control_fd) {
  Heard heard;
  const std::span<char> bytes(reinterpret_cast<char*>(&heard.report), sizeof heard.report);
  ssize_t size = base::receive_with_descriptor(control_fd, bytes, heard.fd);
  // A child that ended without reading all of our words: that is said once, and before its own.
  if (size < 0 && errno == ECONNRESET) {
    size = base::receive_with_descriptor(control_fd, bytes, heard.fd);
  }
  base::check(size, "hear from the container's process");
  if (size == 0) return std::nullopt;
  return heard;
}

bool answer(int control_fd) { return send(control_fd, "g", 1, MSG_NOSIGNAL) == 1; }

void end_child(pid_t pid, int pidfd) noexcept {
  syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, nullptr, 0);
  while (waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void trace_steps(const Plan& plan, const Launched& child) {
  if (!base::is_tracing()) return;
  for (std::size_t i = 0; i < child.timings.count; ++i) {
    if (child.timings.values[i] == 0) continue;
    const std::string text = "step " + std::to_string(i + 1) + ", " + describe(plan.steps[i]);
    base::emit_trace({.room = "runtime",
                      .text = text,
                      .duration = static_cast<base::Nanoseconds>(child.timings.values[i])});
  }
}

}  // namespace runtime
