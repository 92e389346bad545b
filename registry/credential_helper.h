// Credential helpers: programs named docker-credential-<suffix> that keep passwords for docker.
#pragma once

#include <optional>
#include <string>

#include "registry/credentials.h"

namespace registry {

// `get`: runs `docker-credential-<suffix> get` from $PATH with `server` on its standard input.
// nullopt where it knows nothing about the server. Throws where it is missing or fails, or where
// the suffix is not a plain name.
std::optional<Credentials> ask_credential_helper(const std::string& suffix,
                                                 const std::string& server);

// `store`: keeps the credentials; an identity token under docker's user name for it, "<token>".
void store_with_helper(const std::string& suffix, const std::string& server,
                       const Credentials& credentials);

// `erase`; what is not there is no error.
void erase_with_helper(const std::string& suffix, const std::string& server);

}  // namespace registry
