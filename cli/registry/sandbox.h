// Sandbox: what is left to a process that talks to strangers: sockets, threads, reading a few
// files.
#pragma once

#include <filesystem>

namespace cli {

struct SandboxOptions {
  std::filesystem::path certificates;  // a file to be read besides the system's; may be empty
};

// For good, for this process: the user nobody without groups (where we are root; else whoever we
// are), no capabilities, no new ones by execve, no core, no ptrace by others, no byte into any
// file, of the file system what a resolver and TLS read (Landlock, where the kernel has it), and
// only the system calls of a client of sockets. Everything else is refused with EPERM. Call it
// before any thread exists. Throws where any of it but Landlock can't be had.
void enter_sandbox(const SandboxOptions& options);

}  // namespace cli
