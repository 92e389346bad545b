#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
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

}  // namespace

int run_spec(const Globals&, const Words& words) {
  CLI::App app("Writes a config.json to begin with");
  app.name("sampan-oci spec");
  std::string bundle = ".";
  bool rootless = false;
  app.add_option("-b,--bundle", bundle, "Directory to write it into");
  app.add_flag("--rootless", rootless, "Not supported");
  parse(app, words);
  if (rootless)
    throw Error(ErrorKind::kUnsupported,
                "--rootless: containers without root are not supported yet");
  const fs::path file = fs::path(bundle) / "config.json";
  const std::string text = oci::render_runtime_spec(example_spec());
  const base::UniqueFd fd(open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd && errno == EEXIST)
    throw Error(ErrorKind::kConflict, file.string() + " exists; remove it first");
  base::check(fd.get(), file.string());
  base::write_all(fd.get(), nlohmann::ordered_json::parse(text).dump(1, '\t') + "\n");
  return 0;
}

}  // namespace cli_oci
