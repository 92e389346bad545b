// Flat tree: a whole directory tree as a tar stream, as it is: what `export` writes.
#pragma once

#include "storage/pack/tar_writer.h"
#include "storage/unpack/overlay_policy.h"

namespace storage {

// Parents first, names in byte order, so that the same tree gives the same stream; files with
// several names as hard links, sockets left out. Of what is mounted below from another file system
// only the empty directory is written. By descriptors, one component at a time: no link is
// followed. kWithRoot: begins with "./". The stream is not finished.
enum class FlatRoot { kLeftOut, kWithRoot };
void write_flat_tree(TarWriter& writer, int root_fd, FlatRoot root,
                     const OverlayPolicy& policy = {});

}  // namespace storage
