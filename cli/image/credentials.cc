// sampan-image __credentials: reads the caller's credential files and runs the caller's helpers for
// sampan-registry, which may do neither.
#include "registry/credentials.h"

#include <algorithm>
#include <fcntl.h>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "cli/image/image_commands.h"
#include "registry/remote/channel.h"
#include "registry/remote/messages.h"

namespace cli {
namespace {

using registry::Channel;
using registry::FrameType;

constexpr int kBrokerFd = 4;

void answer(Channel& channel, registry::CredentialStore& store,
            const std::vector<std::string>& domains, const std::string& payload) {
  registry::FieldReader question(payload);
  const std::string domain = question.text();
  const std::string path = question.text();
  question.finish();
  if (std::find(domains.begin(), domains.end(), domain) == domains.end()) {
    throw base::Error(base::ErrorKind::kUnauthorized,
                      "credentials for " + base::printable(domain) + " are not given out here");
  }
  channel.send(FrameType::kAnswer, registry::encode_answer(store.find(domain, path)));
}

}  // namespace

int run_credentials_command(int argc, char** argv, EventWriter&) {
  fcntl(kBrokerFd, F_SETFD, FD_CLOEXEC);
  const std::vector<std::string> domains(argv + 1, argv + argc);
  Channel channel{base::UniqueFd(kBrokerFd)};
  registry::CredentialStore store({});
  for (Channel::Header header; channel.find_header(header);) {
    const std::string payload = channel.receive_payload(header.size);
    try {
      answer(channel, store, domains, payload);
    } catch (const base::Error& error) {
      channel.send(FrameType::kError, registry::encode_error(error));
    }
  }
  return 0;
}

}  // namespace cli
