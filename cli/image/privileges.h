// Privileges: what is left to the process that parses what registries send.
#pragma once

namespace cli {

// Gives up, for good, every capability that unpacking layers does not need, and that programs it
// starts (credential helpers) could gain any. Where we are not root there is nothing to give up.
// Call it before any thread exists. Throws.
void drop_privileges();

// Open files up to the hard limit: a pull of many layers at a time needs more than the usual 1024.
void raise_file_limit();

}  // namespace cli
