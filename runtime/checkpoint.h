// Checkpoint and restore: a running container written to files, and made from them again, by the
// installed criu.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runtime/container.h"

namespace runtime {

struct CriuOptions {
  std::string program = "criu";  // a path, or a name to be looked up in the usual directories
  fs::path images;               // absolute; made where it is missing
  fs::path work;                 // for logs; empty: `images`
  // Words of criu's own command line that both programs understand alike: "--tcp-established".
  std::vector<std::string> words;
  int status_fd = -1;  // gets a zero byte once criu is ready to serve lazy pages
};

// kPreDump: only memory is written, for a later checkpoint that names these images its parent's;
// restore() can't use them alone.
enum class AfterDump { kEnd, kLeaveRunning, kPreDump };
// Throws kUnsupported for what criu can't take along, kSystem with criu's own words. With kEnd the
// container's processes are gone afterwards, and the rest is for remove().
void checkpoint(const fs::path& state_dir, const oci::RuntimeSpec& spec, const CriuOptions& criu,
                AfterDump after);

// Made like create() followed by start(); the first process becomes a child of the caller where the
// caller is a child subreaper. On failure nothing is left.
Created restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                const CriuOptions& criu);

}  // namespace runtime
