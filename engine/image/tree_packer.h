// pack_tree(): files of a container as a tar stream, for `cp CONTAINER:PATH -`.
#pragma once

#include <string>

namespace engine {

// Writes what storage::write_tree() makes of `base` in the directory `parent_fd` to `out_fd`.
void pack_tree(int parent_fd, const std::string& base, const std::string& name, int out_fd);

}  // namespace engine
