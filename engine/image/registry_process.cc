#include "engine/image/registry_process.h"

#include <csignal>
#include <cstdlib>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/process.h"

namespace engine {
namespace {

constexpr int kControlFd = 3, kBrokerFd = 4;

std::filesystem::path program_beside_us() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  return error ? "sampan-registry" : self.parent_path() / "sampan-registry";
}

// Proxies and certificates, and nothing of what else a user's environment may hold.
std::vector<std::string> plan_environment() {
  std::vector<std::string> environment;
  for (const char* name :
       {"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY",
        "no_proxy", "NO_PROXY", "REQUEST_METHOD", "SSL_CERT_FILE", "SSL_CERT_DIR"}) {
    if (const char* value = std::getenv(name)) {
      environment.push_back(std::string(name) + "=" + value);
    }
  }
  return environment;
}

pid_t start(const RegistryProcessOptions& options, int control_fd) {
  base::SpawnOptions spawn;
  spawn.program = (options.program.empty() ? program_beside_us() : options.program).string();
  spawn.arguments = {"sampan-registry"};
  spawn.environment = plan_environment();
  spawn.descriptors = {{-1, 0}, {STDERR_FILENO, 1}, {STDERR_FILENO, 2}, {control_fd, kControlFd}};
  if (options.broker_fd >= 0) spawn.descriptors.push_back({options.broker_fd, kBrokerFd});
  return base::while_doing("start sampan-registry", [&] { return base::spawn(spawn); });
}

}  // namespace

RegistryProcess::RegistryProcess(const RegistryProcessOptions& options) {
  int ends[2] = {-1, -1};
  base::check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
  base::UniqueFd ours(ends[0]);
  const base::UniqueFd theirs(ends[1]);
  pid_ = start(options, theirs.get());
  client_ = std::make_unique<registry::RemoteClient>(std::move(ours), options.setup);
}

RegistryProcess::~RegistryProcess() {
  client_.reset();  // it ends when this end of the socket does
  kill(pid_, SIGKILL);
  base::wait_for_child(pid_);
}

}  // namespace engine
