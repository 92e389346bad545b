#include "registry/client.h"

#include <chrono>
#include <utility>

#include "base/error.h"
#include "registry/blob_download.h"
#include "registry/manifest_source.h"
#include "registry/resolver.h"
#include "registry/session.h"

namespace registry {
namespace {

SessionOptions session_options(ClientOptions options) {
  SessionOptions session;
  session.insecure_registries = std::move(options.insecure_registries);
  session.docker_config = std::move(options.docker_config);
  session.ask_credentials = std::move(options.ask_credentials);
  session.transport = {.user_agent = std::move(options.user_agent),
                       .ca_file = std::move(options.ca_file),
                       .connect_timeout_ms = options.connect_timeout_ms,
                       .stall_timeout_s = options.stall_timeout_s};
  session.retry.attempts = options.attempts;
  session.retry.first_pause = std::chrono::milliseconds(options.first_pause_ms);
  session.retry.longest_retry_after = std::chrono::seconds(options.longest_retry_after_s);
  return session;
}

}  // namespace

struct Client::State {
  explicit State(ClientOptions options) : session(session_options(std::move(options))) {}
  Session session;
};

Client::Client(ClientOptions options) : state_(std::make_unique<State>(std::move(options))) {}

Client::~Client() = default;

ResolvedImage Client::resolve(const oci::Reference& reference, const oci::Platform& platform,
                              PlatformChoice choice) {
  return resolve_image(state_->session, reference, platform, choice);
}

oci::Digest Client::find_digest(const oci::Reference& reference) {
  ManifestSource source(state_->session, reference);
  // A refusal of HEAD has no body: GET tells the registry's reason.
  if (const auto digest = source.find_digest()) return *digest;
  return source.load_top().digest;
}

void Client::fetch_blob(const oci::Reference& repository, const oci::Descriptor& blob,
                        std::uint64_t offset, BlobSink& sink) {
  download_blob(state_->session, Repository::of(repository), blob, offset, sink);
}

void Client::cancel() noexcept { state_->session.cancel(); }

}  // namespace registry
