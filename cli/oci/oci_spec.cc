#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "cli/oci/oci_command.h"
#include "runtime/cgroup.h"
#include "runtime/defaults.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;
using oci::NamespaceType;

// A shell in a root file system next to config.json: as closed as `run` of an engine makes it.
oci::RuntimeSpec example_spec() {
  oci::RuntimeSpec spec;
  spec.oci_version = "1.0.2";
  spec.root = {.path = "rootfs", .readonly = true};
  spec.hostname = "sampan";
  const std::vector<std::string> capabilities = {"CAP_AUDIT_WRITE", "CAP_KILL",
                                                 "CAP_NET_BIND_SERVICE"};
  oci::Process& process = spec.process.emplace();
  process.terminal = true;
  process.args = {"sh"};
  process.env = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"};
  process.capabilities = oci::Capabilities{.bounding = capabilities,
                                           .effective = capabilities,
                                           .inheritable = {},
                                           .permitted = capabilities,
                                           .ambient = {}};
  process.rlimits = {{.type = "RLIMIT_NOFILE", .soft = 1024, .hard = 1024}};
  process.no_new_privileges = true;
  spec.mounts = runtime::default_mounts();
  for (const NamespaceType type :
       {NamespaceType::kPid, NamespaceType::kNetwork, NamespaceType::kIpc, NamespaceType::kUts,
        NamespaceType::kMount, NamespaceType::kCgroup}) {
    spec.linux_.namespaces.push_back({.type = type, .path = {}});
  }
  spec.linux_.resources.devices = {
      {.allow = false, .type = 'a', .major = {}, .minor = {}, .access = "rwm"}};
  spec.linux_.masked_paths = runtime::default_masked_paths();
  spec.linux_.readonly_paths = runtime::default_readonly_paths();
  return spec;
}

// What an ordinary user can have of it: ids of the own user alone, no network namespace, which
// nobody could connect, and no cgroups.
void make_rootless(oci::RuntimeSpec& spec) {
  auto& namespaces = spec.linux_.namespaces;
  std::erase_if(namespaces, [](const oci::Namespace& each) {
    return each.type == NamespaceType::kNetwork || each.type == NamespaceType::kUser;
  });
  namespaces.push_back({.type = NamespaceType::kUser, .path = {}});
  spec.linux_.uid_mappings = {{.container_id = 0, .host_id = geteuid(), .size = 1}};
  spec.linux_.gid_mappings = {{.container_id = 0, .host_id = getegid(), .size = 1}};
  spec.linux_.resources = {};
  for (oci::Mount& mount : spec.mounts) {
    // Without a network namespace of its own it has no right to a sysfs.
    if (mount.destination == "/sys") {
      mount = {.destination = "/sys",
               .type = "none",
               .source = "/sys",
               .options = {"rbind", "nosuid", "noexec", "nodev", "ro"}};
    }
    // Only ids that are mapped may own files.
    std::erase_if(mount.options, [](const std::string& option) {
      return option.starts_with("uid=") || option.starts_with("gid=");
    });
  }
  std::erase_if(spec.mounts, [](const oci::Mount& mount) { return mount.type == "cgroup"; });
}

}  // namespace

int run_spec(const Globals&, const Words& words) {
  Options app("spec", "Writes a config.json to begin with");
  std::string bundle = ".";
  std::string name = "config.json";
  bool rootless = false;
  app.add("-b,--bundle", &bundle, "Directory to write it into");
  app.add("-f,--file", &name, "File to write; a relative name counts from the bundle");
  app.add("--rootless", &rootless, "For a user without root");
  parse(app, words);
  oci::RuntimeSpec spec = example_spec();
  if (rootless) make_rootless(spec);
  const fs::path file = fs::path(bundle) / name;
  const std::string text = oci::render_runtime_spec(spec);
  const base::UniqueFd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd && errno == EEXIST)
    throw Error(ErrorKind::kConflict, file.string() + " exists; remove it first");
  base::check(fd.get(), file.string());
  base::write_all(fd.get(), nlohmann::ordered_json::parse(text).dump(1, '\t') + "\n");
  return 0;
}

}  // namespace cli_oci
