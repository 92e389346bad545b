#include <algorithm>
#include <array>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "runtime/mount_options.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

constexpr std::pair<std::uint64_t, const char*> kNamespaces[] = {
    {CLONE_NEWUSER, "user"},     {CLONE_NEWNS, "mount"}, {CLONE_NEWPID, "pid"},
    {CLONE_NEWNET, "network"},   {CLONE_NEWIPC, "ipc"},  {CLONE_NEWUTS, "uts"},
    {CLONE_NEWCGROUP, "cgroup"}, {0x80, "time"}};

std::string namespace_names(std::uint64_t flags) {
  std::string text;
  for (const auto& [flag, name] : kNamespaces) {
    if ((flags & flag) != 0) text += (text.empty() ? "" : ",") + std::string(name);
  }
  return text;
}

std::string propagation_name(std::uint64_t type, bool recursive) {
  const std::string prefix = recursive ? "r" : "";
  switch (type) {
    case MS_SHARED:
      return prefix + "shared";
    case MS_SLAVE:
      return prefix + "slave";
    case MS_PRIVATE:
      return prefix + "private";
    case MS_UNBINDABLE:
      return prefix + "unbindable";
    default:
      return {};
  }
}

std::string octal(std::uint32_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode);
  return text;
}

// " (ro,nosuid,size=64m)"
std::string in_parentheses(const Step& step) {
  std::string text = render_attributes(step.attr_set, step.attr_clear);
  const auto add = [&](const std::string& word) {
    if (!word.empty()) text += (text.empty() ? "" : ",") + word;
  };
  if (const std::string all = render_attributes(step.recursive_set, step.recursive_clear);
      !all.empty()) {
    add("all below: " + all);
  }
  if (!step.id_map.empty()) add(step.id_map.recursive ? "ridmap" : "idmap");
  if (!step.subpath.empty()) add("subpath " + step.subpath);
  if (!step.mount_namespace.empty()) add("of " + step.mount_namespace);
  if (step.by_parent) add("by the parent");
  if ((step.flags & kCopyUp) != 0) add("tmpcopyup");
  add(propagation_name(step.propagation, false));
  add(propagation_name(step.recursive_propagation, true));
  const bool pairs = step.kind == StepKind::kMount || step.kind == StepKind::kRootOverlay ||
                     step.kind == StepKind::kRemount;
  for (std::size_t i = 0; pairs && i + 1 < step.words.size(); i += 2) {
    if (step.words[i] == "source") continue;
    add(step.words[i + 1].empty() ? step.words[i] : step.words[i] + "=" + step.words[i + 1]);
  }
  return text.empty() ? text : " (" + text + ")";
}

std::string describe_mount(const Step& step) {
  const std::string details = in_parentheses(step);
  switch (step.kind) {
    case StepKind::kOpenShared:
      return "open " + step.source + " while shared with the host";
    case StepKind::kPropagation:
      return "make mounts below " + step.target + " " +
             propagation_name(step.propagation, (step.flags & kRecursive) != 0);
    case StepKind::kRootOverlay:
      return "mount overlay on /" + details;
    case StepKind::kRootOverlayClassic:
      return "mount overlay on / (" + step.source + ")";
    case StepKind::kRootBind:
      return "bind " + step.source + " on /" + details;
    case StepKind::kMount:
      return "mount " + step.type + " on " + step.target + details;
    case StepKind::kBind:
      return std::string("bind ") + (step.source.empty() ? step.note : step.source) + " on " +
             step.target + details;
    case StepKind::kSetAttributes:
      return "change " + step.target + details;
    case StepKind::kRemount:
      return "remount " + step.target + details;
    case StepKind::kMask:
      return "mask " + step.target;
    case StepKind::kReadonlyPath:
      return "make " + step.target + " read-only";
    case StepKind::kMakeDirectory:
      return "make directory " + step.target;
    default:
      return "pivot into the container's root";
  }
}

std::string describe_device(const Step& step) {
  if (step.kind == StepKind::kSymlink) return "link " + step.target + " to " + step.source;
  if (S_ISFIFO(step.mode)) return "make fifo " + step.target;
  return "make device " + step.target + " (" + (S_ISBLK(step.mode) ? "block " : "character ") +
         std::to_string(major(step.device)) + ":" + std::to_string(minor(step.device)) + ", " +
         octal(step.mode & 07777U) + ")";
}

std::string names_or_none(std::uint64_t mask) {
  std::string text;
  for (const std::string& name : capability_names(mask)) text += " " + name;
  return text.empty() ? " none" : text;
}

std::string describe_user(const Step& step) {
  std::string text =
      "become user " + std::to_string(step.uid) + ", group " + std::to_string(step.gid);
  const auto* const groups = reinterpret_cast<const std::uint32_t*>(step.data.data());
  for (std::size_t i = 0; i < step.data.size() / sizeof *groups; ++i) {
    text += (i == 0 ? ", also " : ",") + std::to_string(groups[i]);
  }
  return text;
}

std::string describe_limit(const Step& step) {
  const auto text = [](std::uint64_t value) {
    return value == ~0ULL ? std::string("unlimited") : std::to_string(value);
  };
  return "limit " + step.type + " to " + text(step.value[0]) + ":" + text(step.value[1]);
}

std::string in_one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// Each names its field of config.json: an error is all that a reader gets to see of it.
std::string describe_setting(const Step& step) {
  switch (step.kind) {
    case StepKind::kTimeNamespace:
      return "new namespace time with linux.timeOffsets " + in_one_line(step.source);
    case StepKind::kProcFile:
      return "write " + step.source + " to " + step.target;
    case StepKind::kCpuAffinity:
      return "run on processors " + step.note + " (process.execCPUAffinity)";
    case StepKind::kScheduler:
      return "set process.scheduler to " + step.note;
    case StepKind::kIoPriority:
      return "set process.ioPriority to " + step.note;
    case StepKind::kPersonality:
      return "set linux.personality to " + step.note;
    default:
      return "set linux.memoryPolicy to " + step.note;
  }
}

std::string describe_process(const Step& step) {
  switch (step.kind) {
    case StepKind::kTerminal:
      return "open a terminal in the container's devpts";
    case StepKind::kStdio:
      return "connect standard streams";
    case StepKind::kControllingTerminal:
      return "make the terminal the session's";
    case StepKind::kLoopback:
      return "set up the loopback device";
    case StepKind::kHostname:
      return "set hostname to " + step.source;
    case StepKind::kDomainname:
      return "set domainname to " + step.source;
    case StepKind::kSysctl:
      return "set sysctl " + step.target + " to " + step.source;
    case StepKind::kRlimit:
      return describe_limit(step);
    case StepKind::kKeyring:
      return "join the session keyring " + step.source;
    case StepKind::kCloseFds:
      return "close descriptors from " + std::to_string(step.number) + " on";
    case StepKind::kWorkingDir:
      return "change to directory " + step.target;
    case StepKind::kWorkingDirUser:
      return "change to directory " + step.target + " as the user";
    case StepKind::kBounding:
      return "keep in the bounding set:" + names_or_none(step.number);
    case StepKind::kUser:
      return describe_user(step);
    case StepKind::kUmask:
      return "set umask to " + octal(step.mode);
    case StepKind::kNoNewPrivileges:
      return "set no_new_privs";
    case StepKind::kCapabilities:
      return "keep capabilities:" + names_or_none(step.value[0]) +
             (step.note.empty() ? "" : " (" + step.note + ")");
    case StepKind::kAmbient:
      return "raise ambient capabilities:" + names_or_none(step.number);
    case StepKind::kParentDeath:
      return "die with the parent";
    case StepKind::kFindProgram:
      return "find program " + step.target;
    case StepKind::kGate:
      return "wait for start";
    case StepKind::kSeccomp:
      return "load seccomp filter (" + std::to_string(step.data.size() / sizeof(BpfInstruction)) +
             " instructions)";
    case StepKind::kEnterPidNamespace:
      return step.flags == 0 ? "enter the pid namespace"
                             : "give birth in new namespaces " + namespace_names(step.flags);
    default:
      return "execute " + step.target;
  }
}

std::string describe_sync(const Step& step) {
  switch (static_cast<SyncPoint>(step.number)) {
    case SyncPoint::kMappings:
      return "wait for the id mappings";
    case SyncPoint::kHooks:
      return "wait for hooks";
    case SyncPoint::kNetwork:
      return "wait for the network";
    case SyncPoint::kCgroups:
      return "wait for the cgroups";
  }
  return {};
}

}  // namespace

std::string describe(const Step& step) {
  switch (step.kind) {
    case StepKind::kJoinCgroup:
      return "join cgroup by " + step.target;
    case StepKind::kSetNamespace:
      return "join namespace " + namespace_names(step.flags) +
             (step.target.empty() ? " of the container" : " at " + step.target);
    case StepKind::kUnshare:
      return "new namespace " + namespace_names(step.flags);
    case StepKind::kOpenRoot:
      return "open the container's root";
    case StepKind::kSync:
      return describe_sync(step);
    case StepKind::kNamespaceRoot:
      return "become root of the user namespace";
    case StepKind::kSession:
      return "new session";
    case StepKind::kTimeNamespace:
    case StepKind::kProcFile:
    case StepKind::kCpuAffinity:
    case StepKind::kScheduler:
    case StepKind::kIoPriority:
    case StepKind::kPersonality:
    case StepKind::kMemoryPolicy:
      return describe_setting(step);
    case StepKind::kDevice:
    case StepKind::kSymlink:
      return describe_device(step);
    case StepKind::kOpenShared:
    case StepKind::kPropagation:
    case StepKind::kRootOverlay:
    case StepKind::kRootOverlayClassic:
    case StepKind::kRootBind:
    case StepKind::kMount:
    case StepKind::kBind:
    case StepKind::kSetAttributes:
    case StepKind::kRemount:
    case StepKind::kMakeDirectory:
    case StepKind::kMask:
    case StepKind::kReadonlyPath:
    case StepKind::kPivot:
      return describe_mount(step);
    default:
      return describe_process(step);
  }
}

std::string render(const Plan& plan) {
  std::string text;
  if (plan.clone_flags != 0) {
    text += "clone into new namespaces " + namespace_names(plan.clone_flags) + "\n";
  }
  if (!plan.pid_namespace.empty()) text += "born into pid namespace " + plan.pid_namespace + "\n";
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const std::string number = std::to_string(i + 1);
    text += std::string(number.size() < 3 ? 3 - number.size() : 0, ' ') + number + "  " +
            describe(plan.steps[i]) + "\n";
  }
  for (const std::string& decision : plan.decisions) text += "note: " + decision + "\n";
  return text;
}

}  // namespace runtime
