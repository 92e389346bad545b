// extract_tree(): a tar stream into a directory of a container, for `cp - CONTAINER:DIR`.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace engine {

struct ExtractOptions {
  struct Ids {
    uid_t uid = 0;
    gid_t gid = 0;
  };
  std::optional<Ids> owner;  // of everything, whatever the archive says
};

// `read` gives the next bytes of the stream, plain or compressed by gzip or zstd; empty at its end.
// Entries go below `destination`, a path as seen in the tree of `root_fd`; every path is resolved
// by openat2(2) in that tree, links that are there included, so that neither the archive nor
// whoever changes the tree meanwhile leads anything out of it. Parents that are missing are made. A
// directory and another file never replace each other (kConflict). Returns the stream's bytes.
std::uint64_t extract_tree(int root_fd, const std::string& destination,
                           const std::function<std::string_view()>& read,
                           const ExtractOptions& options);

}  // namespace engine
