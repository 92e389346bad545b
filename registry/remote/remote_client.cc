#include "registry/remote/remote_client.h"

#include <algorithm>
#include <sys/mman.h>
#include <sys/socket.h>
#include <utility>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/text.h"
#include "base/trace.h"

namespace registry {
namespace {

constexpr std::size_t kMaxTraceText = 4096;

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

  // What the process may use for this call beside the request.
  void lend(int fd) {
    base::check(base::send_with_descriptor(channel_.fd(), "f", fd), "send descriptor");
  }
  void watch(const UploadProgress& on_progress) { on_progress_ = &on_progress; }

  // How much data makes a whole.
  enum class Amount { kAll, kAtMost };

  // Up to the result, whose payload it gives.
  std::string finish(RemoteBlobSink* sink = nullptr, std::uint64_t size = 0,
                     std::uint64_t offset = 0, Amount amount = Amount::kAll) {
    try {
      return receive(sink, size, offset, amount);
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kUnavailable) throw;
      client_.throw_if_cancelled();
      if (!is_told_) throw_ended();
      throw;
    }
  }

 private:
  std::string receive(RemoteBlobSink* sink, std::uint64_t size, std::uint64_t offset,
                      Amount amount) {
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
        case FrameType::kProgress:
          if (on_progress_ == nullptr) throw_malformed();
          report(decode_number(channel_.receive_payload(header.size)));
          break;
        case FrameType::kError: {
          const base::Error error = decode_error(channel_.receive_payload(header.size));
          is_told_ = true;
          throw base::Error(error);
        }
        case FrameType::kResult:
          if (missing != 0 && amount == Amount::kAll) throw_malformed();
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

  void report(std::uint64_t sent) const {
    if (*on_progress_) (*on_progress_)(sent);
  }

  RemoteClient& client_;
  Channel channel_;
  const UploadProgress* on_progress_ = nullptr;
  bool is_told_ = false;  // the error is the other process's own
};

RemoteClient::RemoteClient(base::UniqueFd control, const Setup& setup)
    : control_(std::move(control)) {
  // In a file rather than a message: certificates have no limit of size worth speaking of.
  const base::UniqueFd file(base::check(memfd_create("setup", MFD_CLOEXEC), "memfd_create"));
  base::write_all(file.get(), encode_setup(setup));
  base::check(base::send_with_descriptor(control_.get(), "s", file.get()),
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
                            .offset = offset,
                            .urls = blob.urls});
  exchange.finish(&sink, blob.size, offset);
}

void RemoteClient::fetch_url(const std::string& address, std::uint64_t limit,
                             RemoteBlobSink& sink) {
  Exchange exchange(*this, {.kind = CallKind::kFetchUrl, .text = address, .limit = limit});
  exchange.finish(&sink, limit, 0, Exchange::Amount::kAtMost);
}

RawManifest RemoteClient::fetch_manifest(const oci::Reference& reference) {
  Exchange exchange(*this, {.kind = CallKind::kFetchManifest, .reference = reference.str()});
  return decode_manifest(exchange.finish(), reference);
}

namespace {

class StringSink : public RemoteBlobSink {
 public:
  explicit StringSink(std::size_t size) : bytes_(size, '\0') {}
  std::span<char> space() override { return std::span(bytes_).subspan(position_); }
  void produce(std::size_t size) override { position_ += size; }
  void restart() override { position_ = 0; }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
  std::size_t position_ = 0;
};

}  // namespace

std::string RemoteClient::fetch_small_blob(const oci::Reference& repository,
                                           const oci::Descriptor& blob, std::size_t limit) {
  const std::string name = "blob " + blob.digest.str();
  if (blob.size > limit) {
    throw base::Error(base::ErrorKind::kInvalid,
                      name + ": " + std::to_string(blob.size) + " bytes are too many");
  }
  StringSink sink(static_cast<std::size_t>(blob.size));
  fetch_blob(repository, blob, 0, sink);
  std::string bytes = sink.take();
  if (base::sha256_hex(bytes) != blob.digest.hex()) {
    throw base::Error(base::ErrorKind::kCorrupt, name + ": digest mismatch");
  }
  return bytes;
}

PushedBlob RemoteClient::push_blob(const oci::Reference& repository, const BlobUpload& blob, int fd,
                                   const UploadProgress& on_progress) {
  Exchange exchange(*this, {.kind = CallKind::kPushBlob,
                            .reference = repository.str(),
                            .digest = blob.digest.str(),
                            .size = blob.size,
                            .text = blob.mount_from,
                            .has_file = fd >= 0,
                            .limit = blob.chunk_bytes});
  if (fd >= 0) exchange.lend(fd);
  exchange.watch(on_progress);
  const std::uint64_t result = decode_number(exchange.finish());
  if (result > static_cast<std::uint64_t>(PushedBlob::kAbsent)) throw_malformed();
  return static_cast<PushedBlob>(result);
}

oci::Digest RemoteClient::push_manifest(const oci::Reference& target, std::string_view bytes,
                                        const std::string& media_type) {
  Exchange exchange(*this, {.kind = CallKind::kPushManifest,
                            .reference = target.str(),
                            .text = media_type,
                            .bytes = std::string(bytes)});
  const auto digest = oci::Digest::parse(exchange.finish());
  if (digest.hex() != base::sha256_hex(bytes)) throw_malformed();
  return digest;
}

std::vector<std::string> RemoteClient::list_tags(const oci::Reference& repository) {
  Exchange exchange(*this, {.kind = CallKind::kListTags, .reference = repository.str()});
  return decode_texts(exchange.finish());
}

std::vector<std::string> RemoteClient::list_repositories(const std::string& domain,
                                                         const std::string& part,
                                                         std::size_t limit) {
  Exchange exchange(
      *this,
      {.kind = CallKind::kListRepositories, .reference = domain, .text = part, .limit = limit});
  return decode_texts(exchange.finish());
}

std::string RemoteClient::list_referrers(const oci::Reference& subject,
                                         const std::string& artifact_type) {
  Exchange exchange(
      *this, {.kind = CallKind::kListReferrers, .reference = subject.str(), .text = artifact_type});
  std::string index = exchange.finish();
  oci::parse_manifest(index, oci::kOciIndex);  // throws where it is none
  return index;
}

Credentials RemoteClient::log_in(const std::string& domain, const Credentials& credentials) {
  Exchange exchange(*this,
                    {.kind = CallKind::kLogIn, .reference = domain, .credentials = credentials});
  return decode_answer(exchange.finish()).value_or(credentials);
}

}  // namespace registry
