// copy_tree: a directory tree copied with everything that makes a root file system: owners, modes,
// times, extended attributes, hard links, devices, holes.
#pragma once

namespace engine {

// Fills the directory `to` (its own owner, mode and times become those of `from`). By descriptors
// only: no link in either tree is followed. trusted.overlay.* is left behind. Both trees must not
// be changed meanwhile.
void copy_tree(int from, int to);

// Owner, mode, extended attributes (but trusted.overlay.*) and times of one open directory for
// another.
void copy_directory_attributes(int from, int to);

}  // namespace engine
