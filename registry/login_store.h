// Login store: what `login` and `logout` change: docker's config.json and its credential helpers.
#pragma once

#include <filesystem>
#include <string>

#include "registry/credentials.h"

namespace registry {

// Where credentials went.
struct LoginPlace {
  std::string helper;          // suffix; empty: the file, in plain text
  std::filesystem::path file;  // config.json
};

// Keeps credentials for a registry as docker does: with the helper that config.json names for it,
// else in config.json itself. Whatever else is in the file stays; it is replaced as a whole, mode
// 0600, a link to it is followed. An empty `file` is docker's own.
LoginPlace store_login(std::filesystem::path file, const std::string& domain,
                       const Credentials& credentials);

// False where nothing was known about the registry.
bool erase_login(std::filesystem::path file, const std::string& domain);

}  // namespace registry
