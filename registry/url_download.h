// URL download: a file that the user names by its address, which no digest vouches for.
#pragma once

#include <cstdint>
#include <string>

#include "registry/client.h"
#include "registry/session.h"

namespace registry {

// All of it, in order. A transfer that breaks is resumed where the server says by a strong tag that
// it still has the same content, else begun anew. Throws kInvalid where it has more than `limit`
// bytes.
void download_url(Session& session, const std::string& address, std::uint64_t limit,
                  BlobSink& sink);

}  // namespace registry
