// Blob download: one blob as a stream that survives broken transfers.
#pragma once

#include <cstdint>

#include "oci/manifest.h"
#include "registry/client.h"
#include "registry/repository.h"
#include "registry/session.h"

namespace registry {

// As Client::fetch_blob describes it; where the registry does not have it and the descriptor has
// `urls`, it is fetched from there. Callers clear them unless the user wants that. Bytes are not
// hashed here: the sink sees each of them anyway.
void download_blob(Session& session, const Repository& repository, const oci::Descriptor& blob,
                   std::uint64_t offset, BlobSink& sink);

// A small blob (a config) in memory, verified. Throws kInvalid where its size exceeds `limit`,
// kCorrupt where the digest differs.
std::string load_blob(Session& session, const Repository& repository, const oci::Descriptor& blob,
                      std::size_t limit);

// Throws kCorrupt unless `bytes` have the descriptor's size and digest.
void verify(const oci::Descriptor& descriptor, std::string_view bytes);

}  // namespace registry
