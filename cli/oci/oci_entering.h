// The commands that start processes inside a container: what oci_entry.cc, which runs before libc,
// and the table of commands both have to know.
#pragma once

namespace cli_oci {

// Not inline: what only the file itself knows is reached without a table of addresses, which nobody
// has filled in yet.
constexpr char kEnteringCommands[][8] = {"create", "start", "run", "exec", "restore"};

}  // namespace cli_oci
