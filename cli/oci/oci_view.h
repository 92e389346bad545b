// The descriptor of the read-only view that oci_entry.cc has executed us from: the mount ends with
// it, which makes the kernel wait for a grace period of RCU. So it is closed while a container
// runs.
#pragma once

namespace cli_oci {

// First thing: from here on nobody else gets the descriptor. Nothing where there is none.
void find_view();
void close_view();

// Before we open anything: `count` descriptors from 3 on are the caller's, to be passed on. Throws
// kInvalid where one is not open; later it could be one of ours.
void respect_preserved(int count);

}  // namespace cli_oci
