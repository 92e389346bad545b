// ChildPlan: what a container's process does between clone and execve, as numbers and pointers.
#pragma once

#include <linux/types.h>
#include <stddef.h>
#include <stdint.h>

namespace runtime {

// Each is one step of a plan, one line of `--explain` and one function of the child. plan.cc says
// in which order they come and README.md why.
enum class StepKind : uint32_t {
  kJoinCgroup,          // target: the group's `tasks` file; fd: where it is open already
  kSetNamespace,        // fd, flags: CLONE_NEW*
  kUnshare,             // flags: CLONE_NEW*
  kSync,                // number: SyncPoint; waits for the parent's answer
  kNamespaceRoot,       // become uid 0 and gid 0 of a new user namespace
  kTimeNamespace,       // a new one; source: its clocks, as timens_offsets takes them
  kProcFile,            // target: a file of the host's procfs, source: what to write; kTolerant
  kCpuAffinity,         // data: the mask
  kOpenRoot,            // the root of the mount namespace that was joined is the container's
  kSession,             // setsid(2)
  kOpenShared,          // source: taken before the host's mounts become slaves; number: slot
  kPropagation,         // target, propagation, kRecursive
  kRootOverlay,         // target: where in the host's tree; words: options for fsconfig(2)
  kRootOverlayClassic,  // the same by mount(2); source: the data string; words: the layers
  kRootBind,            // source, target
  kMount,               // type, source, target, words
  kBind,                // source, target; or number: slot of kOpenShared
  kSetAttributes,       // target
  kRemount,             // target, words: reconfigures the file system there
  kDevice,              // target below /dev, mode, device, uid, gid; source: the host's, to bind
  kSymlink,             // target, source: what it says
  kTerminal,            // opens a pty in the container's devpts; number: rows << 16 | columns
  kMakeDirectory,       // target; failure is ignored
  kMask,                // target
  kReadonlyPath,        // target
  kPivot,
  kLoopback,             // the device "lo" of a new network namespace is set up
  kHostname,             // source
  kDomainname,           // source
  kSysctl,               // target: below /proc/sys, source: the value
  kRlimit,               // number: resource; value: soft, hard
  kScheduler,            // data: struct sched_attr
  kIoPriority,           // number
  kPersonality,          // number
  kMemoryPolicy,         // number: mode and flags, data: the mask of nodes
  kKeyring,              // source: name of the session keyring to join or make
  kStdio,                // the three descriptors of ChildPlan, or the terminal
  kControllingTerminal,  // of the session: descriptor 0
  kCloseFds,             // number: the first that is closed at execve
  kWorkingDir,           // target
  kBounding,             // number: the capabilities that stay
  kUser,                 // uid, gid, words' place taken by data: the supplementary groups
  kWorkingDirUser,       // again as the user, where root was refused (root-squashed NFS)
  kUmask,                // mode
  kNoNewPrivileges,
  kCapabilities,       // value: effective, permitted, inheritable
  kAmbient,            // number
  kParentDeath,        // number: the signal
  kFindProgram,        // words: candidates
  kGate,               // reports ready and waits for start
  kSeccomp,            // data: the filter, flags
  kEnterPidNamespace,  // the rest is done by a new child of the caller's parent; flags: CLONE_NEW*
  kExec,
};

// kCgroups: the child has its namespaces and waits for the groups, which the parent makes
// meanwhile.
enum class SyncPoint : uint32_t { kMappings = 1, kHooks, kNetwork, kCgroups };

// Step flags; kUnshare, kSetNamespace and kSeccomp use the field for their own.
enum : uint64_t {
  kRecursive = 1U << 0U,
  kNoSymlinks = 1U << 1U,    // no component of the target may be a symbolic link
  kReadOnlyRoot = 1U << 2U,  // the root is mounted read-only from the start
  kMakeFile = 1U << 3U,      // a missing target becomes a file, whatever the source is
  kOfferRoot = 1U << 4U,     // kPivot: the parent gets a descriptor of the root
  kMoveRoot = 1U << 5U,      // kPivot: by moving; words: the host's mount points, to be detached
  kCopyUp = 1U << 6U,        // kMount: what the target holds is copied into it
  kTolerant = 1U << 7U,      // kProcFile, kUser: goes on where a right is missing
  kKeepSys = 1U << 8U,       // kMount of a procfs: kSysctl steps write through it
  kUnasked = 1U << 9U,       // kSync: the parent answers without a word from the child
};

struct StepNumbers {
  uint64_t flags = 0;
  // For mount_setattr(2) on the mount itself and on all below it.
  uint64_t attr_set = 0, attr_clear = 0, recursive_set = 0, recursive_clear = 0;
  uint64_t propagation = 0;  // MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE
  uint64_t recursive_propagation = 0;
  uint64_t device = 0;
  uint64_t number = 0;
  uint64_t value[3] = {};
  uint32_t mode = 0, uid = 0, gid = 0;
  int32_t fd = -1;
};

struct Op : StepNumbers {
  StepKind kind = StepKind::kExec;
  const char* source = nullptr;
  const char* target = nullptr;
  const char* type = nullptr;
  const char* const* words = nullptr;  // null-terminated
  const void* data = nullptr;
  size_t data_size = 0;
};

inline constexpr int kSharedSlots = 16;
inline constexpr unsigned kNewTime = 0x80;  // CLONE_NEWTIME, only in newer headers

struct ChildPlan {
  const Op* ops = nullptr;
  uint32_t count = 0;
  int control_fd = -1;  // a SOCK_SEQPACKET socket: reports up, one byte down
  int parent_fd = -1;   // the parent's end of it, which we must not hold: it would hide its death
  int gate_fd = -1;     // a fifo instead of the control socket, for a start by another process
  int start_report_fd = -1;  // where what follows that gate is reported
  int started_fd = -1;       // the gate opens by itself and empties this file; see kStartedFile
  int stdio[3] = {-1, -1, -1};
  int preserved = 0;  // descriptors 3 .. 2+n stay open
  const char* const* argv = nullptr;
  const char* const* envp = nullptr;
  // Of a parent without root, whose rights over us end where we can't be looked into.
  bool stays_dumpable = false;
  uint64_t ignored_signals = 0;  // by the parent; bit n - 1 is signal n
  uint64_t* timings = nullptr;   // shared with the parent: nanoseconds of each step
};

enum class ReportKind : uint32_t {
  kFailed = 1,
  kSync,
  kTerminal,
  kRoot,
  kReady,
  kProcess,
  kListener,  // of the filter: `error` is its number among our descriptors; waits for an answer
};

// One message of the child; only the used part of `detail` is sent.
struct Report {
  ReportKind kind = ReportKind::kFailed;
  uint32_t step = 0;
  StepKind step_kind = StepKind::kExec;
  int32_t error = 0;       // errno; kProcess: the pid; kSync: the SyncPoint
  uint32_t size = 0;       // of detail
  char detail[1024] = {};  // the file system's own words, or the head of the program
};

}  // namespace runtime
