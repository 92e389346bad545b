// EtcFiles: /etc/hosts, /etc/hostname and /etc/resolv.conf as docker writes them; pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/options.h"

namespace engine {

struct HostsInput {
  std::string hostname, domainname;
  std::vector<std::string> addresses;  // the container's own
  std::vector<std::string> links;      // lines for --link
  std::string host_gateway;            // what "host-gateway" stands for; empty where there is none
  std::string host_file;  // the host's /etc/hosts: taken over as it is with --network host
};
// Throws kInvalid where an extra host has no address, or wants a gateway that does not exist.
std::string render_hosts(const ContainerOptions& options, const HostsInput& input);

// From the host's file, without nameservers on loopback, which mean something else in the
// container's network; where none is left, 8.8.8.8 and 8.8.4.4 as docker has it. With --network
// host the host's file is taken as it is. --dns, --dns-search and --dns-option replace its parts.
std::string render_resolv_conf(const ContainerOptions& options, std::string_view host_file);

// Where the monitor answers, at 127.0.0.11: search and options as above.
inline constexpr const char* kNameServer = "127.0.0.11";
std::string render_own_resolv_conf(const ContainerOptions& options, std::string_view host_file);
// Whom it asks itself: --dns, or the host's servers, those on loopback included.
std::vector<std::string> upstream_servers(const ContainerOptions& options,
                                          std::string_view host_file);

}  // namespace engine
