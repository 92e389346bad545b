// write_tree(): a file, or a directory with everything below it, as entries of a tar stream.
#pragma once

#include <string>

#include "storage/pack/diff_tar.h"
#include "storage/pack/tar_writer.h"

namespace storage {

// `base` in the directory `parent_fd`, a link as such, becomes the entry `name` and what is below
// it "name/…", in byte order; "." stands for the directory itself at both places. Who changes the
// tree meanwhile decides at most which of their own files are read. Throws kUnsupported below 512
// levels of directories, kNotFound where there is nothing.
void write_tree(TarWriter& writer, int parent_fd, const std::string& base, const std::string& name,
                const OverlayPolicy& policy = {});

}  // namespace storage
