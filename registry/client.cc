#include "registry/client.h"

#include <chrono>
#include <utility>

#include "base/error.h"
#include "registry/blob_download.h"
#include "registry/blob_upload.h"
#include "registry/failure.h"
#include "registry/file_body.h"
#include "registry/manifest_push.h"
#include "registry/manifest_source.h"
#include "registry/paging.h"
#include "registry/resolver.h"
#include "registry/session.h"
#include "registry/url_download.h"

namespace registry {
namespace {

SessionOptions session_options(ClientOptions options) {
  SessionOptions session;
  session.insecure_registries = std::move(options.insecure_registries);
  session.credentials = {.docker_config = std::move(options.docker_config),
                         .ask = std::move(options.ask_credentials)};
  session.config = std::move(options.config);
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

void Client::fetch_url(const std::string& address, std::uint64_t limit, BlobSink& sink) {
  download_url(state_->session, address, limit, sink);
}

RawManifest Client::fetch_manifest(const oci::Reference& reference) {
  FetchedManifest fetched = ManifestSource(state_->session, reference).load_top();
  const std::string type =
      std::visit([](const auto& content) { return content.media_type; }, fetched.content);
  return {.digest = fetched.digest, .media_type = type, .bytes = std::move(fetched.bytes)};
}

std::string Client::fetch_small_blob(const oci::Reference& repository, const oci::Descriptor& blob,
                                     std::size_t limit) {
  return load_blob(state_->session, Repository::of(repository), blob, limit);
}

PushedBlob Client::push_blob(const oci::Reference& repository, const BlobUpload& blob, int fd,
                             const UploadProgress& on_progress) {
  FileBody content(fd, blob.size);
  return upload_blob(state_->session, Repository::of(repository), blob, fd < 0 ? nullptr : &content,
                     on_progress);
}

oci::Digest Client::push_manifest(const oci::Reference& target, std::string_view bytes,
                                  const std::string& media_type) {
  return registry::push_manifest(state_->session, Repository::of(target), target.manifest_name(),
                                 bytes, media_type);
}

std::vector<std::string> Client::list_tags(const oci::Reference& repository) {
  return registry::list_tags(state_->session, Repository::of(repository));
}

void Client::list_repositories(const std::string& domain,
                               const std::function<bool(const std::string&)>& take) {
  registry::list_repositories(state_->session, Repository::whole(domain), take);
}

std::vector<oci::Descriptor> Client::list_referrers(const oci::Reference& subject,
                                                    const std::string& artifact_type) {
  const oci::Digest digest = subject.digest() ? *subject.digest() : find_digest(subject);
  return registry::list_referrers(state_->session, Repository::of(subject), digest, artifact_type);
}

Credentials Client::log_in(const std::string& domain, const Credentials& credentials) {
  const Session::Login login = state_->session.log_in(Repository::whole(domain), credentials);
  if (!login.response.is_success()) throw_failure(login.response);
  if (login.identity_token.empty()) return credentials;
  return {.username = credentials.username,
          .password = {},
          .identity_token = login.identity_token,
          .registry_token = {}};
}

void Client::cancel() noexcept { state_->session.cancel(); }

}  // namespace registry
