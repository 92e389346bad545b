// sampan-registry: the only part of sampan that opens network connections and parses what comes
// back. It has no rights, and serves one process over a socket.
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "cli/registry/calls.h"
#include "cli/registry/sandbox.h"
#include "cli/registry/server.h"
#include "registry/remote/channel.h"
#include "registry/remote/messages.h"

namespace {

constexpr int kControlFd = 3;
constexpr int kBrokerFd = 4;  // open where there may be credentials
constexpr int kUsageError = 2;
constexpr std::size_t kMaxSetupBytes = 64U << 20U;

registry::Setup receive_setup() {
  char byte = 0;
  base::UniqueFd file;
  const ssize_t count = base::receive_with_descriptor(kControlFd, {&byte, 1}, file);
  if (base::check(count, "recvmsg") == 0) _exit(0);  // whoever started us is gone already
  base::check(lseek(file.get(), 0, SEEK_SET), "lseek");
  return registry::decode_setup(base::read_fd(file.get(), kMaxSetupBytes));
}

// Asks the process that may read the caller's files and run the caller's programs.
std::optional<registry::Credentials> ask_broker(registry::Channel& broker,
                                                const std::string& domain,
                                                const std::string& path) {
  using registry::FrameType;
  broker.send(FrameType::kQuestion, registry::encode_question(domain, path));
  const registry::Channel::Header header = broker.receive_header();
  const std::string payload = broker.receive_payload(header.size);
  if (header.type == FrameType::kError) throw base::Error(registry::decode_error(payload));
  return registry::decode_answer(payload);
}

int run() {
  registry::Setup setup = receive_setup();
  if (setup.trace) base::set_trace_sink(cli::trace_to_caller);
  const bool has_broker = fcntl(kBrokerFd, F_SETFD, FD_CLOEXEC) == 0;
  registry::Channel broker{base::UniqueFd(has_broker ? kBrokerFd : -1)};
  setup.client.ask_credentials = [&](const std::string& domain, const std::string& path) {
    return has_broker ? ask_broker(broker, domain, path) : std::nullopt;
  };
  // All files that only root may read have to be read before the sandbox is closed.
  cli::enter_sandbox({.certificates = setup.client.ca_file});
  registry::Client client(std::move(setup.client));
  cli::Server server(kControlFd, client);
  server.run();
  // Threads may still be in the middle of a transfer that nobody wants any more.
  _exit(0);
}

}  // namespace

int main() {
  if (fcntl(kControlFd, F_SETFD, FD_CLOEXEC) != 0) {
    std::fputs("sampan-registry is started by sampan-image, not by hand\n", stderr);
    return kUsageError;
  }
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sampan-registry: %s\n", error.what());
  }
  _exit(1);
}
