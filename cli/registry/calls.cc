#include "cli/registry/calls.h"

#include <array>
#include <chrono>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "base/cleanup.h"
#include "base/descriptor_passing.h"
#include "base/error.h"
#include "registry/manifest_push.h"
#include "registry/remote/channel.h"
#include "registry/remote/messages.h"

namespace cli {
namespace {

using registry::Call;
using registry::CallKind;
using registry::Channel;
using registry::FrameType;

// A call runs on one thread from its beginning to its end, and so do its decisions.
thread_local Channel* caller = nullptr;

class SendingSink : public registry::BlobSink {
 public:
  explicit SendingSink(Channel& channel) : channel_(channel) {}
  void restart() override { channel_.send(FrameType::kRestart, {}); }
  void write(std::string_view bytes) override { channel_.send(FrameType::kData, bytes); }

 private:
  Channel& channel_;
};

std::string resolve(registry::Client& client, const Call& call, Channel&) {
  using Choice = registry::Client::PlatformChoice;
  return encode_image(
      client.resolve(oci::Reference::parse(call.reference), oci::Platform::parse(call.platform),
                     call.platform_is_explicit ? Choice::kExplicit : Choice::kHostDefault));
}

std::string find_digest(registry::Client& client, const Call& call, Channel&) {
  return client.find_digest(oci::Reference::parse(call.reference)).str();
}

std::string fetch_blob(registry::Client& client, const Call& call, Channel& channel) {
  const oci::Descriptor blob = {.media_type = {},
                                .digest = oci::Digest::parse(call.digest),
                                .size = call.size,
                                .platform = {},
                                .artifact_type = {},
                                .urls = call.urls,
                                .annotations = {},
                                .data = {}};
  SendingSink sink(channel);
  client.fetch_blob(oci::Reference::parse(call.reference), blob, call.offset, sink);
  return {};
}

std::string fetch_url(registry::Client& client, const Call& call, Channel& channel) {
  SendingSink sink(channel);
  client.fetch_url(call.text, call.limit, sink);
  return {};
}

std::string fetch_manifest(registry::Client& client, const Call& call, Channel&) {
  return encode_manifest(client.fetch_manifest(oci::Reference::parse(call.reference)));
}

// How far an upload is, a few times a second.
class ProgressFrames {
 public:
  explicit ProgressFrames(Channel& channel) : channel_(channel) {}
  void operator()(std::uint64_t sent) {
    const auto now = std::chrono::steady_clock::now();
    if (now - told_ < std::chrono::milliseconds(100)) return;
    told_ = now;
    channel_.send(FrameType::kProgress, registry::encode_number(sent));
  }

 private:
  Channel& channel_;
  std::chrono::steady_clock::time_point told_;
};

std::string push_blob(registry::Client& client, const Call& call, Channel& channel) {
  char byte = 0;
  base::UniqueFd file;
  if (call.has_file) {
    base::check(base::receive_with_descriptor(channel.fd(), {&byte, 1}, file), "recvmsg");
    if (!file) throw base::Error(base::ErrorKind::kInvalid, "no file came with the request");
  }
  const registry::BlobUpload blob{.digest = oci::Digest::parse(call.digest),
                                  .size = call.size,
                                  .mount_from = call.text,
                                  .chunk_bytes = call.limit};
  const auto result = client.push_blob(oci::Reference::parse(call.reference), blob, file.get(),
                                       ProgressFrames(channel));
  return registry::encode_number(static_cast<std::uint64_t>(result));
}

std::string push_manifest(registry::Client& client, const Call& call, Channel&) {
  return client.push_manifest(oci::Reference::parse(call.reference), call.bytes, call.text).str();
}

std::string list_tags(registry::Client& client, const Call& call, Channel&) {
  return registry::encode_texts(client.list_tags(oci::Reference::parse(call.reference)));
}

std::string list_repositories(registry::Client& client, const Call& call, Channel&) {
  std::vector<std::string> names;
  client.list_repositories(call.reference, [&](const std::string& name) {
    if (name.find(call.text) != std::string::npos) names.push_back(name);
    return names.size() < call.limit;
  });
  return registry::encode_texts(names);
}

std::string list_referrers(registry::Client& client, const Call& call, Channel&) {
  return registry::render_index(
      client.list_referrers(oci::Reference::parse(call.reference), call.text));
}

std::string log_in(registry::Client& client, const Call& call, Channel&) {
  return registry::encode_answer(client.log_in(call.reference, call.credentials));
}

// The result's payload.
using Handler = std::string (*)(registry::Client& client, const Call& call, Channel& channel);

constexpr std::pair<CallKind, Handler> kHandlers[] = {
    {CallKind::kResolve, resolve},
    {CallKind::kFindDigest, find_digest},
    {CallKind::kFetchBlob, fetch_blob},
    {CallKind::kFetchManifest, fetch_manifest},
    {CallKind::kPushBlob, push_blob},
    {CallKind::kPushManifest, push_manifest},
    {CallKind::kListTags, list_tags},
    {CallKind::kListRepositories, list_repositories},
    {CallKind::kListReferrers, list_referrers},
    {CallKind::kLogIn, log_in},
    {CallKind::kFetchUrl, fetch_url},
};

std::string answer(registry::Client& client, Channel& channel) {
  const Channel::Header header = channel.receive_header();
  const Call call = registry::decode_call(channel.receive_payload(header.size));
  for (const auto& [kind, handler] : kHandlers) {
    if (kind == call.kind) return handler(client, call, channel);
  }
  throw base::Error(base::ErrorKind::kUnsupported, "unknown request");
}

void send_error(Channel& channel, const base::Error& error) noexcept {
  try {
    channel.send(FrameType::kError, registry::encode_error(error));
  } catch (...) {  // whoever asked has gone
  }
}

}  // namespace

void serve_call(registry::Client& client, base::UniqueFd socket) noexcept {
  Channel channel(std::move(socket));
  caller = &channel;
  const base::Cleanup forget([] { caller = nullptr; });
  try {
    channel.send(FrameType::kResult, answer(client, channel));
  } catch (const base::Error& error) {
    send_error(channel, error);
  } catch (const std::exception& error) {
    send_error(channel, base::Error(base::ErrorKind::kSystem, error.what()));
  }
}

void trace_to_caller(const base::TraceEvent& event) noexcept {
  if (caller == nullptr) return;
  try {
    caller->send(FrameType::kTrace, event.text);
  } catch (...) {  // the call's own next frame finds that out
  }
}

}  // namespace cli
