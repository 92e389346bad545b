// Net devices: what the parent does in a container's network namespace: links of the host that move
// into it with their addresses (linux.netDevices of config.json), and its own loopback.
#pragma once

#include <map>
#include <string>
#include <sys/types.h>

namespace runtime {

// The host's names to the container's, "" for the same. Permanent addresses go along and the link
// is set up. Throws naming the device; those moved before come back when the namespace ends.
void move_net_devices(const std::map<std::string, std::string>& devices, pid_t pid);

// For a namespace that somebody else has made for us.
void set_up_loopback(pid_t pid);

}  // namespace runtime
