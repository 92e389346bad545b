// CNI: a network that plugins make, as their specification says
// (github.com/containernetworking/cni, SPEC.md 1.0): each plugin of a configuration list is
// executed in turn, the last one first at the end.
#pragma once

#include <string>

#include "engine/network_state.h"

namespace engine {

// Throws kInvalid for what is no configuration list.
void check_cni(const std::string& list);

// ADD: the endpoint's address and hardware address become what the plugins say. `netns_fd` is lent.
// What an earlier plugin made is taken back where a later one fails.
void add_cni(Attachment& attachment, int netns_fd);
// DEL; without a namespace (-1) the plugins take back what they have outside: leases, rules. Throws
// where one of them fails.
void delete_cni(const Attachment& attachment, int netns_fd);

}  // namespace engine
