#include "cli/registry/calls.h"

#include <array>
#include <new>
#include <string>
#include <utility>

#include "base/cleanup.h"
#include "base/error.h"
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
                                .urls = {},
                                .annotations = {},
                                .data = {}};
  SendingSink sink(channel);
  client.fetch_blob(oci::Reference::parse(call.reference), blob, call.offset, sink);
  return {};
}

// The result's payload.
using Handler = std::string (*)(registry::Client& client, const Call& call, Channel& channel);

constexpr std::pair<CallKind, Handler> kHandlers[] = {
    {CallKind::kResolve, resolve},
    {CallKind::kFindDigest, find_digest},
    {CallKind::kFetchBlob, fetch_blob},
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
