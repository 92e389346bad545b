// RemoteClient: registry::Client at the other end of a socket, in the process sampan-registry,
// whose answers are verified here.
#pragma once

#include <cstdint>
#include <mutex>
#include <set>
#include <span>

#include "base/unique_fd.h"
#include "registry/client.h"
#include "registry/remote/channel.h"
#include "registry/remote/messages.h"

namespace registry {

// Takes a blob in order, straight into the receiver's memory. Each function may throw to end the
// transfer.
class RemoteBlobSink {
 public:
  virtual ~RemoteBlobSink() = default;
  virtual std::span<char> space() = 0;         // never empty
  virtual void produce(std::size_t size) = 0;  // so many bytes of it came
  // As BlobSink::restart().
  virtual void restart() = 0;
};

// Thread-safe: each call has a socket of its own to the process, where a thread serves it.
class RemoteClient {
 public:
  // `control`: a SOCK_SEQPACKET socket whose other end the process serves.
  RemoteClient(base::UniqueFd control, const Setup& setup);

  // As those of Client; manifests and configs are verified against their digests once more.
  ResolvedImage resolve(const oci::Reference& reference, const oci::Platform& platform,
                        Client::PlatformChoice choice);
  oci::Digest find_digest(const oci::Reference& reference);
  // Where the registry does not have it and blob.urls is not empty, from there.
  // Exactly blob.size - offset bytes, or an error. The caller verifies the digest.
  void fetch_blob(const oci::Reference& repository, const oci::Descriptor& blob,
                  std::uint64_t offset, RemoteBlobSink& sink);

  // At most `limit` bytes, or an error.
  void fetch_url(const std::string& address, std::uint64_t limit, RemoteBlobSink& sink);

  RawManifest fetch_manifest(const oci::Reference& reference);
  // A small blob in memory, verified; kInvalid where it exceeds `limit`.
  std::string fetch_small_blob(const oci::Reference& repository, const oci::Descriptor& blob,
                               std::size_t limit);
  // As those of Client. `fd` is lent to the process, which reads it.
  PushedBlob push_blob(const oci::Reference& repository, const BlobUpload& blob, int fd,
                       const UploadProgress& on_progress);
  oci::Digest push_manifest(const oci::Reference& target, std::string_view bytes,
                            const std::string& media_type);
  std::vector<std::string> list_tags(const oci::Reference& repository);
  // At most `limit` names that contain `part`.
  std::vector<std::string> list_repositories(const std::string& domain, const std::string& part,
                                             std::size_t limit);
  // As an image index.
  std::string list_referrers(const oci::Reference& subject, const std::string& artifact_type);
  Credentials log_in(const std::string& domain, const Credentials& credentials);

  // Ends every call under way in another thread, and every later one, with kUnavailable.
  void cancel() noexcept;

 private:
  // One call while it lasts.
  class Exchange;
  base::UniqueFd open_call();
  void close_call(int fd) noexcept;
  void throw_if_cancelled();

  base::UniqueFd control_;
  std::mutex mutex_;
  std::set<int> active_;  // sockets of calls
  bool cancelled_ = false;
};

}  // namespace registry
