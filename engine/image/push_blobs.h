// Push blobs: where the bytes of a layer come from when it is pushed.
#pragma once

#include <functional>
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

class PushBlobs {
 public:
  // All must live longer than this.
  PushBlobs(SharedStore& store, registry::RemoteClient& client) : store_(store), client_(client) {}

  // Repositories at the target's registry that may have the blob, the likeliest first.
  std::vector<std::string> find_mounts(const oci::Descriptor& blob, const storage::ImageRow& image,
                                       const oci::Reference& target);

  // The blob's file, where it is kept here.
  std::optional<BlobFile> find_kept(const oci::Descriptor& blob);

  // The blob as the manifest names it: written again from the layer, or fetched from
  // where it came from; else the layer compressed anew, whose digest differs. Throws kNotFound
  // where none of these can be had.
  BlobFile obtain(const oci::Descriptor& blob, const oci::DiffId& layer,
                  const storage::ImageRow& image);

 private:
  std::optional<BlobFile> rebuild(const oci::Descriptor& blob);
  std::optional<BlobFile> fetch(const oci::Descriptor& blob, const storage::ImageRow& image);
  BlobFile compress(const oci::DiffId& layer);
  std::filesystem::path new_file();

  SharedStore& store_;
  registry::RemoteClient& client_;
};

// Full names of the repositories that an image, or one of its layers, came from or is named in.
std::vector<std::string> origins_of(storage::Store& store, const storage::ImageRow& image,
                                    const std::optional<oci::Digest>& blob);

}  // namespace engine
