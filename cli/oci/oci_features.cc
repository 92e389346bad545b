#include <cerrno>
#include <linux/seccomp.h>
#include <map>
#include <sys/syscall.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/oci/oci_command.h"
#include "runtime/checkpoint.h"
#include "runtime/defaults.h"
#include "runtime/mount_options.h"
#include "runtime/plan.h"
#include "runtime/seccomp.h"

namespace cli_oci {
namespace {

using Json = nlohmann::ordered_json;

// Of the mount options that mount(8) and the specification have, those that the runtime obeys.
Words known_mount_options() {
  static const Words candidates = {"async",        "atime",
                                   "bind",         "defaults",
                                   "dev",          "diratime",
                                   "dirsync",      "exec",
                                   "idmap",        "iversion",
                                   "lazytime",     "loud",
                                   "mand",         "noatime",
                                   "nodev",        "nodiratime",
                                   "noexec",       "noiversion",
                                   "nolazytime",   "nomand",
                                   "norelatime",   "nostrictatime",
                                   "nosuid",       "nosymfollow",
                                   "private",      "ratime",
                                   "rbind",        "rdev",
                                   "rdiratime",    "relatime",
                                   "remount",      "rexec",
                                   "rnoatime",     "rnodev",
                                   "rnodiratime",  "rnoexec",
                                   "rnorelatime",  "rnostrictatime",
                                   "rnosuid",      "rnosymfollow",
                                   "ridmap",       "ro",
                                   "rprivate",     "rrelatime",
                                   "rro",          "rrw",
                                   "rshared",      "rslave",
                                   "rstrictatime", "rsuid",
                                   "rsymfollow",   "runbindable",
                                   "rw",           "shared",
                                   "silent",       "slave",
                                   "strictatime",  "suid",
                                   "symfollow",    "sync",
                                   "tmpcopyup",    "unbindable"};
  Words known;
  for (const std::string& option : candidates) {
    try {
      runtime::parse_mount_options({option});
      known.push_back(option);
    } catch (const base::Error&) {  // refused by name
    }
  }
  return known;
}

// Those that the running kernel has, too. It looks at the flags before it looks for the filter,
// which is not there; see seccomp(2), EFAULT.
Words supported_seccomp_flags() {
  static const std::map<std::string, unsigned> bits = {
      {"SECCOMP_FILTER_FLAG_TSYNC", 1U << 0U},
      {"SECCOMP_FILTER_FLAG_LOG", 1U << 1U},
      {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", 1U << 2U},
      {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", 1U << 5U}};
  Words supported;
  for (const std::string& name : runtime::known_seccomp_flags()) {
    const auto bit = bits.find(name);
    if (bit == bits.end()) continue;
    // Allowed only together with a listener.
    const unsigned flags = bit->second == 1U << 5U ? bit->second | 1U << 3U : bit->second;
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, nullptr) < 0 && errno == EFAULT) {
      supported.push_back(name);
    }
  }
  return supported;
}

Json linux_features() {
  return {{"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
          {"capabilities", runtime::all_capabilities()},
          {"cgroup",
           {{"v1", true}, {"v2", true}, {"systemd", true}, {"systemdUser", true}, {"rdma", true}}},
          {"seccomp",
           {{"enabled", true},
            {"actions", runtime::known_seccomp_actions()},
            {"operators", runtime::known_seccomp_operators()},
            {"archs", runtime::known_seccomp_architectures()},
            {"knownFlags", runtime::known_seccomp_flags()},
            {"supportedFlags", supported_seccomp_flags()}}},
          {"apparmor", {{"enabled", true}}},
          {"selinux", {{"enabled", true}}},
          {"intelRdt", {{"enabled", true}, {"schemata", true}, {"monitoring", true}}},
          {"memoryPolicy",
           {{"modes", runtime::known_memory_modes()}, {"flags", runtime::known_memory_flags()}}},
          {"mountExtensions", {{"idmap", {{"enabled", true}}}}},
          {"netDevices", {{"enabled", true}}}};
}

}  // namespace

int run_features(const Globals& globals, const Words& words) {
  Options app("features",
              "Prints what this runtime can do, as the specification's features.md has it");
  parse(app, words);
  const Json features = {
      {"ociVersionMin", "1.0.0"},
      {"ociVersionMax", kSpecVersion},
      {"hooks",
       {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
      {"mountOptions", known_mount_options()},
      {"linux", linux_features()},
      {"annotations",
       {{"org.sampan.version", kVersion},
        {"org.opencontainers.runc.checkpoint.enabled",
         runtime::can_checkpoint(globals.criu) ? "true" : "false"}}},
      // Those that decide about more than the container: an engine must not take them from an
      // image. The last one is a prefix.
      {"potentiallyUnsafeConfigAnnotations", {"org.criu.config", "org.systemd.property."}}};
  print(features.dump(2) + "\n");
  return 0;
}

}  // namespace cli_oci
