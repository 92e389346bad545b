// Push blobs: where the bytes of a layer come from when it is pushed.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "engine/image/shared_store.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "registry/remote/remote_client.h"

namespace engine {

// A file with a layer's bytes, and what they are.
struct BlobFile {
  base::UniqueFd fd;
  oci::Digest digest;
  std::uint64_t size = 0;
};

// By the digest's digits.
using MadeBlobs = std::map<std::string, BlobFile>;

class PushBlobs {
 public:
  // All must live longer than this. `made`: what is there already; taken from as it is needed.
  PushBlobs(SharedStore& store, registry::RemoteClient& client, MadeBlobs* made)
      : store_(store), client_(client), made_(made) {}

  // Those of the image's blobs that only another program can make again and that the target does
  // not have, into the map.
  void make_with_programs(const storage::ImageRow& image, const oci::Reference& target);

  // Repositories at the target's registry that may have the blob, the likeliest first.
  std::vector<std::string> find_mounts(const oci::Descriptor& blob, const storage::ImageRow& image,
                                       const oci::Reference& target);

  // The blob's file, where it is kept here.
  std::optional<BlobFile> find_kept(const oci::Descriptor& blob);

  // Full names of the repositories that the image came from or is named in.
  std::vector<std::string> list_origins(const storage::ImageRow& image);

  // From where the image came from; nullopt where nobody has it any more.
  std::optional<BlobFile> fetch(const oci::Descriptor& blob, const storage::ImageRow& image);

  // The blob as the manifest names it: written again from the layer, or fetched from
  // where it came from; else the layer compressed anew, whose digest differs. Throws kNotFound
  // where none of these can be had.
  BlobFile obtain(const oci::Descriptor& blob, const oci::DiffId& layer,
                  const storage::ImageRow& image);

 private:
  std::optional<BlobFile> find_made(const oci::Descriptor& blob);
  std::optional<BlobFile> rebuild(const oci::Descriptor& blob);
  BlobFile compress(const oci::DiffId& layer);
  std::filesystem::path new_file();

  SharedStore& store_;
  registry::RemoteClient& client_;
  MadeBlobs* made_;
  std::mutex mutex_;  // of the map
};

// Full names of the repositories that an image, or one of its layers, came from or is named in.
std::vector<std::string> origins_of(storage::Store& store, const storage::ImageRow& image,
                                    const std::optional<oci::Digest>& blob);

}  // namespace engine
