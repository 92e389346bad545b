// Credential helpers: programs named docker-credential-<suffix> that keep passwords for docker.
#pragma once

#include <optional>
#include <string>

#include "registry/credentials.h"

namespace registry {

// Runs `docker-credential-<suffix> get` from $PATH with `server` on its standard input. nullopt
// where it knows nothing about the server. Throws where it is missing or fails, or where the suffix
// is not a plain name.
std::optional<Credentials> ask_credential_helper(const std::string& suffix,
                                                 const std::string& server);

}  // namespace registry
