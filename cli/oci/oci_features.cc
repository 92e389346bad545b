#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/oci/oci_command.h"
#include "runtime/defaults.h"
#include "runtime/mount_options.h"
#include "runtime/seccomp.h"

namespace cli_oci {
namespace {

using Json = nlohmann::ordered_json;

// Of the mount options that mount(8) and the specification have, those that the runtime obeys.
Words known_mount_options() {
  static const Words candidates = {"async",
                                   "atime",
                                   "bind",
                                   "defaults",
                                   "dev",
                                   "diratime",
                                   "dirsync",
                                   "exec",
                                   "iversion",
                                   "lazytime",
                                   "loud",
                                   "mand",
                                   "noatime",
                                   "nodev",
                                   "nodiratime",
                                   "noexec",
                                   "noiversion",
                                   "nolazytime",
                                   "nomand",
                                   "norelatime",
                                   "nostrictatime",
                                   "nosuid",
                                   "nosymfollow",
                                   "private",
                                   "ratime",
                                   "rbind",
                                   "rdev",
                                   "rdiratime",
                                   "relatime",
                                   "remount",
                                   "rexec",
                                   "rnoatime",
                                   "rnodev",
                                   "rnodiratime",
                                   "rnoexec",
                                   "rnorelatime",
                                   "rnostrictatime",
                                   "rnosuid",
                                   "rnosymfollow",
                                   "ro",
                                   "rprivate",
                                   "rrelatime",
                                   "rro",
                                   "rrw",
                                   "rshared",
                                   "rslave",
                                   "rstrictatime",
                                   "rsuid",
                                   "rsymfollow",
                                   "runbindable",
                                   "rw",
                                   "shared",
                                   "silent",
                                   "slave",
                                   "strictatime",
                                   "suid",
                                   "symfollow",
                                   "sync",
                                   "tmpcopyup",
                                   "unbindable"};
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

Json linux_features() {
  return {{"namespaces", {"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}},
          {"capabilities", runtime::all_capabilities()},
          {"cgroup", {{"v1", true}, {"v2", true}, {"systemd", false}, {"systemdUser", false}}},
          {"seccomp",
           {{"enabled", true},
            {"actions", runtime::known_seccomp_actions()},
            {"operators", runtime::known_seccomp_operators()},
            {"archs", runtime::known_seccomp_architectures()},
            {"knownFlags", runtime::known_seccomp_flags()},
            {"supportedFlags", runtime::known_seccomp_flags()}}},
          {"apparmor", {{"enabled", false}}},
          {"selinux", {{"enabled", false}}}};
}

}  // namespace

int run_features(const Globals&, const Words& words) {
  CLI::App app("Prints what this runtime can do, as the specification's features.md has it");
  app.name("sampan-oci features");
  parse(app, words);
  const Json features = {
      {"ociVersionMin", "1.0.0"},
      {"ociVersionMax", kSpecVersion},
      {"hooks",
       {"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}},
      {"mountOptions", known_mount_options()},
      {"linux", linux_features()},
      {"annotations", {{"org.sampan.version", kVersion}}}};
  print(features.dump(2) + "\n");
  return 0;
}

}  // namespace cli_oci
