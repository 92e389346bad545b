// Checkpoint and restore: a running container written to files, and made from them again, by the
// installed criu.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "runtime/container.h"

namespace runtime {

// What criu itself does about cgroups; the container's are made by ourselves. criu_cg_mode.
enum class CriuCgroups : std::uint8_t { kIgnore = 0, kSoft = 3, kFull = 4, kStrict = 5 };

struct CriuOptions {
  std::string program = "criu";  // a path, or a name to be looked up in the usual directories
  fs::path images;               // absolute; made where it is missing
  fs::path work;                 // for logs; empty: `images`
  bool tcp_established = false, tcp_skip_in_flight = false, ext_unix_sk = false, shell_job = false,
       file_locks = false, link_remap = false, lazy_pages = false, auto_dedup = false;
  std::string parent_images;  // of an earlier kPreDump, relative to `images`
  std::string page_server;    // that gets the memory; with lazy pages criu serves it there
  std::uint16_t page_port = 0;
  std::string lsm_profile, lsm_mount_context;
  CriuCgroups cgroups = CriuCgroups::kIgnore;
  int status_fd = -1;  // gets a zero byte once criu is ready to serve lazy pages
};

// kPreDump: only memory is written, for a later checkpoint that names these images its parent's;
// restore() can't use them alone.
enum class AfterDump { kEnd, kLeaveRunning, kPreDump };
// Throws kUnsupported for what criu can't take along, kSystem with criu's own words. With kEnd the
// container's processes are gone afterwards, and the rest is for remove().
void checkpoint(const fs::path& state_dir, const oci::RuntimeSpec& spec, const CriuOptions& criu,
                AfterDump after);

// Made like create() followed by start(); the first process is a child of the caller. A network
// namespace comes back as create() makes it: what else is in it is its hooks' work. Of the hooks
// those of the runtime's own namespaces run: inside, their work is part of what is restored. On
// failure nothing is left.
Created restore(const oci::RuntimeSpec& spec, const CreateOptions& options,
                const CriuOptions& criu);

// Whether that criu is installed and takes this kernel and user.
bool can_checkpoint(const std::string& program);

}  // namespace runtime
