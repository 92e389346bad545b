// Blob upload: one blob sent to a repository, not at all where it is there already, and resumed
// where a transfer breaks.
#pragma once

#include <cstdint>
#include <functional>

#include "oci/digest.h"
#include "registry/client.h"
#include "registry/http.h"
#include "registry/repository.h"
#include "registry/session.h"

namespace registry {

// What a token for pushing to the repository must allow.
std::string push_scope(const Repository& repository);

// As Client::push_blob describes it. `content` is read from any offset, as often as it takes; null
// where there is none.
PushedBlob upload_blob(Session& session, const Repository& repository, const BlobUpload& blob,
                       BodySource* content, const UploadProgress& on_progress);

}  // namespace registry
