#include "cli/image/registry_access.h"

#include <csignal>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "base/process.h"
#include "cli/image/privileges.h"
#include "registry/config_files.h"
#include "registry/credentials.h"

namespace cli {
namespace {

constexpr int kBrokerFd = 4;

}  // namespace

RegistryAccess::RegistryAccess(registry::Setup setup, const std::vector<std::string>& names) {
  setup.client.config = registry::load_registry_config(registry::default_config_paths());
  std::vector<std::string> domains;
  for (const std::string& name : names) {
    const auto more = registry::list_credential_domains(setup.client.config, name);
    domains.insert(domains.end(), more.begin(), more.end());
  }
  base::UniqueFd broker;
  if (!domains.empty()) broker = start_broker(domains);
  process_.emplace(engine::RegistryProcessOptions{
      .program = {}, .setup = std::move(setup), .broker_fd = broker.get()});
  drop_privileges();
}

RegistryAccess::~RegistryAccess() {
  process_.reset();
  if (broker_ == 0) return;
  kill(broker_, SIGKILL);
  base::wait_for_child(broker_);
}

// The end for sampan-registry; nothing where there is no file that could name a registry.
base::UniqueFd RegistryAccess::start_broker(const std::vector<std::string>& domains) {
  if (!registry::CredentialStore({}).has_sources()) return {};
  int ends[2] = {-1, -1};
  base::check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
  base::UniqueFd theirs(ends[0]);
  const base::UniqueFd brokers(ends[1]);
  base::SpawnOptions spawn;
  spawn.program = "/proc/self/exe";
  spawn.arguments = {"sampan-image", "__credentials"};
  spawn.arguments.insert(spawn.arguments.end(), domains.begin(), domains.end());
  spawn.descriptors = {
      {-1, 0}, {STDERR_FILENO, 1}, {STDERR_FILENO, 2}, {-1, 3}, {brokers.get(), kBrokerFd}};
  broker_ = base::while_doing("start the credential broker", [&] { return base::spawn(spawn); });
  return theirs;
}

}  // namespace cli
