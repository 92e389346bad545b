#include "registry/remote/remote_client.h"

#include <algorithm>
#include <sys/socket.h>
#include <utility>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/text.h"
#include "base/trace.h"

namespace registry {
namespace {

constexpr std::size_t kMaxTraceText = 4096;

[[noreturn]] void throw_malformed() {
  throw base::Error(base::ErrorKind::kCorrupt, "malformed message from sampan-registry");
}

[[noreturn]] void throw_ended() {
  throw base::Error(base::ErrorKind::kSystem, "sampan-registry has ended unexpectedly");
}

}  // namespace

class RemoteClient::Exchange {
 public:
  Exchange(RemoteClient& client, const Call& call) : client_(client), channel_(client.open_call()) {
    try {
      channel_.send(FrameType::kRequest, encode_call(call));
    } catch (...) {
      client_.close_call(channel_.fd());
      throw;
    }
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() { client_.close_call(channel_.fd()); }

  // Up to the result, whose payload it gives.
  std::string finish(RemoteBlobSink* sink = nullptr, std::uint64_t size = 0,
                     std::uint64_t offset = 0) {
    try {
      return receive(sink, size, offset);
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kUnavailable) throw;
      client_.throw_if_cancelled();
      if (!is_told_) throw_ended();
      throw;
    }
  }

 private:
  std::string receive(RemoteBlobSink* sink, std::uint64_t size, std::uint64_t offset) {
    for (std::uint64_t missing = size - offset;;) {
      const Channel::Header header = channel_.receive_header();
      switch (header.type) {
        case FrameType::kData:
          if (sink == nullptr || header.size > missing) throw_malformed();
          missing -= header.size;
          receive_data(*sink, header.size);
          break;
        case FrameType::kRestart:
          if (sink == nullptr) throw_malformed();
          missing = size;
          sink->restart();
          break;
        case FrameType::kTrace:
          base::trace("registry",
                      base::printable(channel_.receive_payload(header.size), kMaxTraceText));
          break;
        case FrameType::kError: {
          const base::Error error = decode_error(channel_.receive_payload(header.size));
          is_told_ = true;
          throw base::Error(error);
        }
        case FrameType::kResult:
          if (missing != 0) throw_malformed();
          return channel_.receive_payload(header.size);
        default:
          throw_malformed();
      }
    }
  }

  void receive_data(RemoteBlobSink& sink, std::size_t size) {
    while (size > 0) {
      const std::span<char> space = sink.space();
      const std::size_t count =
          channel_.receive_some(space.subspan(0, std::min(space.size(), size)));
      sink.produce(count);
      size -= count;
    }
  }

  RemoteClient& client_;
  Channel channel_;
  bool is_told_ = false;  // the error is the other process's own
};

RemoteClient::RemoteClient(base::UniqueFd control, const Setup& setup)
    : control_(std::move(control)) {
  const std::string message = encode_setup(setup);
  base::check(send(control_.get(), message.data(), message.size(), MSG_NOSIGNAL),
              "send to sampan-registry");
}

base::UniqueFd RemoteClient::open_call() {
  int ends[2] = {-1, -1};
  base::check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
  base::UniqueFd ours(ends[0]);
  const base::UniqueFd theirs(ends[1]);
  const std::lock_guard lock(mutex_);
  if (cancelled_) throw base::Error(base::ErrorKind::kUnavailable, "cancelled");
  if (base::send_with_descriptor(control_.get(), "c", theirs.get()) < 0) throw_ended();
  active_.insert(ours.get());
  return ours;
}

void RemoteClient::close_call(int fd) noexcept {
  const std::lock_guard lock(mutex_);
  active_.erase(fd);
}

void RemoteClient::throw_if_cancelled() {
  const std::lock_guard lock(mutex_);
  if (cancelled_) throw base::Error(base::ErrorKind::kUnavailable, "cancelled");
}

void RemoteClient::cancel() noexcept {
  const std::lock_guard lock(mutex_);
  cancelled_ = true;
  // Whoever waits for bytes sees the end; whoever serves it can't go on, either.
  for (const int fd : active_) shutdown(fd, SHUT_RDWR);
}

ResolvedImage RemoteClient::resolve(const oci::Reference& reference, const oci::Platform& platform,
                                    Client::PlatformChoice choice) {
  Exchange exchange(*this, {.kind = CallKind::kResolve,
                            .reference = reference.str(),
                            .platform = platform.str(),
                            .platform_is_explicit = choice == Client::PlatformChoice::kExplicit});
  return decode_image(exchange.finish(), reference);
}

oci::Digest RemoteClient::find_digest(const oci::Reference& reference) {
  Exchange exchange(*this, {.kind = CallKind::kFindDigest, .reference = reference.str()});
  return oci::Digest::parse(exchange.finish());
}

void RemoteClient::fetch_blob(const oci::Reference& repository, const oci::Descriptor& blob,
                              std::uint64_t offset, RemoteBlobSink& sink) {
  Exchange exchange(*this, {.kind = CallKind::kFetchBlob,
                            .reference = repository.str(),
                            .digest = blob.digest.str(),
                            .size = blob.size,
                            .offset = offset});
  exchange.finish(&sink, blob.size, offset);
}

}  // namespace registry
