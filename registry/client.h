// Client: one place that talks to registries: references to manifests and blobs
// (distribution-spec).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/manifest.h"
#include "oci/platform.h"
#include "oci/reference.h"
#include "registry/credentials.h"
#include "registry/registry_config.h"

namespace registry {

struct ClientOptions {
  // Hosts ("registry.lan:5000") or networks ("10.0.0.0/8") with which plain HTTP and unverified TLS
  // are allowed. Loopback always is: HTTPS first, then HTTP, as docker does.
  std::vector<std::string> insecure_registries;
  std::filesystem::path
      docker_config;  // config.json with credentials; empty: $DOCKER_CONFIG or ~/.docker
  // Asked in place of files and helpers, once for each question: by a process that may not read
  // them.
  AskCredentials ask_credentials;
  RegistryConfig config;  // mirrors, certificates: load_registry_config()
  std::string user_agent = "sampan/0.1";
  int connect_timeout_ms = 10'000;
  int stall_timeout_s = 30;        // a transfer below 1 KiB/s for so long is broken off and resumed
  int attempts = 5;                // of one request without progress, with back-off
  int first_pause_ms = 1000;       // before the second attempt; doubles up to 30 s
  int longest_retry_after_s = 60;  // where 429 or 503 asks to wait for longer, we give up instead
  std::filesystem::path ca_file;  // certificates to trust; empty: $SSL_CERT_FILE, else the system's
};

// One image as its registry describes it. `manifest_bytes` and `config_bytes` are verified against
// their digests.
struct ResolvedImage {
  oci::Reference reference;  // as asked
  oci::Digest top_digest;    // of what the tag names: the index where there is one
  oci::Digest manifest_digest;
  std::string manifest_bytes;
  oci::Manifest manifest;
  std::string config_bytes;
  std::optional<std::string> index_bytes;
  // Between that and the manifest where indexes are nested, the outermost first.
  std::vector<std::string> inner_indexes = {};
  // One line each, fit for a terminal: another platform than the host's, the registry's own.
  std::vector<std::string> warnings;
};

// Receives one blob in order. `write` may throw to end the transfer.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  // The server has other content than before: the blob will come again from its first byte. (A
  // server that merely can't resume costs traffic only: what the sink has is not sent to it twice.)
  virtual void restart() = 0;
  virtual void write(std::string_view bytes) = 0;
};

// One blob that is to be in a repository.
struct BlobUpload {
  oci::Digest digest;
  std::uint64_t size = 0;
  std::string mount_from;         // path of a repository there that may have it; empty: none
  std::uint64_t chunk_bytes = 0;  // of a request; 0: the whole at once
};
enum class PushedBlob {
  kExists,
  kMounted,
  kUploaded,
  kAbsent,  // and there was no file to be sent
};
// How many bytes have been sent; may fall back where a transfer broke. It may throw.
using UploadProgress = std::function<void(std::uint64_t)>;

// A manifest or an index as it is served, of whatever type. Verified against its digest.
struct RawManifest {
  oci::Digest digest;
  std::string media_type;
  std::string bytes;
};

// Thread-safe: any number of fetches may run at the same time; tokens are shared and fetched once.
class Client {
 public:
  explicit Client(ClientOptions options);
  ~Client();

  // Manifest (through an index where there is one: the entry for `platform`) and config.
  // `platform_is_explicit`: a single manifest for another platform is an error rather than a
  // warning.
  enum class PlatformChoice { kHostDefault, kExplicit };
  ResolvedImage resolve(const oci::Reference& reference, const oci::Platform& platform,
                        PlatformChoice choice);

  // The digest that the tag names now, by HEAD; falls back to GET.
  oci::Digest find_digest(const oci::Reference& reference);

  // Streams the blob from `offset` on. Transfers that break are resumed where they stopped; the
  // caller verifies the digest. Never sends more than descriptor.size - offset bytes to the sink.
  // Throws.
  void fetch_blob(const oci::Reference& repository, const oci::Descriptor& blob,
                  std::uint64_t offset, BlobSink& sink);

  // A file that is no registry's, from where the user says it is; at most `limit` bytes.
  void fetch_url(const std::string& address, std::uint64_t limit, BlobSink& sink);

  // Manifest or index as they are, also of artifacts.
  RawManifest fetch_manifest(const oci::Reference& reference);
  // A small blob, such as a config, in memory and verified; kInvalid where it exceeds `limit`.
  std::string fetch_small_blob(const oci::Reference& repository, const oci::Descriptor& blob,
                               std::size_t limit);

  // Sends a blob unless it is there; `fd` is read by pread(2). Transfers that break are resumed.
  // -1: it is only looked for, and mounted where that can be done.
  PushedBlob push_blob(const oci::Reference& repository, const BlobUpload& blob, int fd,
                       const UploadProgress& on_progress);
  // Under the reference's tag, or its digest where it has one. All that it names must be there.
  oci::Digest push_manifest(const oci::Reference& target, std::string_view bytes,
                            const std::string& media_type);

  std::vector<std::string> list_tags(const oci::Reference& repository);
  // Until `take` says that it has enough.
  void list_repositories(const std::string& domain,
                         const std::function<bool(const std::string&)>& take);
  // Descriptors of what refers to the manifest with that digest; an empty type takes all.
  std::vector<oci::Descriptor> list_referrers(const oci::Reference& subject,
                                              const std::string& artifact_type);

  // Throws kUnauthorized where the registry does not take them. The result is what to keep: an
  // identity token in place of the password where the registry gave one.
  Credentials log_in(const std::string& domain, const Credentials& credentials);

  // Ends every call under way in another thread, and every later one, with kUnavailable.
  void cancel() noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace registry
