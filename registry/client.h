// Client: one place that talks to registries: references to manifests and blobs
// (distribution-spec).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/manifest.h"
#include "oci/platform.h"
#include "oci/reference.h"

namespace registry {

struct ClientOptions {
  // Hosts ("registry.lan:5000") or networks ("10.0.0.0/8") with which plain HTTP and unverified TLS
  // are allowed. Loopback always is: HTTPS first, then HTTP, as docker does.
  std::vector<std::string> insecure_registries;
  std::filesystem::path
      docker_config;  // config.json with credentials; empty: $DOCKER_CONFIG or ~/.docker
  std::string user_agent = "sampan/0.1";
  int connect_timeout_ms = 10'000;
  int stall_timeout_s = 30;  // a transfer below 1 KiB/s for so long is broken off and resumed
  int attempts = 5;  // of one request, with back-off; 429's Retry-After is obeyed up to 60 s
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
};

// Receives one blob in order. `write` may throw to end the transfer.
class BlobSink {
 public:
  virtual ~BlobSink() = default;
  // The server could not resume: the bytes seen so far will come again from the start.
  virtual void restart() = 0;
  virtual void write(std::string_view bytes) = 0;
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

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace registry
