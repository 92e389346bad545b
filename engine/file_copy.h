// copy_entry(): files between two trees that others may change at the same time, by descriptors.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>

namespace engine {

struct FileCopyOptions {
  // kOurs: the copy belongs to us; set-user-id bits, capabilities and what others may do to a
  // device stay behind, since a container chose them.
  enum class Owner { kOurs, kKept, kGiven } owner = Owner::kKept;
  uid_t uid = 0;  // kGiven
  gid_t gid = 0;
};

// The end of a copy: a directory, held open, and a name in it.
struct CopyEnd {
  int parent_fd = -1;
  std::string name;
  std::string shown;  // for messages
};

// Copies `from` with everything below it to `to`. A directory is merged with one that is there,
// another file takes the place of one that is there; a directory and another file never replace
// each other (kConflict). With the name "." at both ends, what is in `from` goes into the directory
// `to`, whose own attributes stay.
//
// Every name is looked up in a directory that is held open and no link is ever followed, so whoever
// changes the trees meanwhile decides at most which of their own files are read and replaced.
// Sockets are left out. Returns the bytes that docker would count. Throws.
std::uint64_t copy_entry(const CopyEnd& from, const CopyEnd& to, const FileCopyOptions& options);

}  // namespace engine
