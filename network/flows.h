// Flows: what connection tracking remembers about published UDP ports.
#pragma once

#include <vector>

#include "network/bridge.h"
#include "network/message.h"

namespace network {

// One request a UDP port: forget every flow that was sent to it. Connection tracking translates a
// flow the way its first packet went, so a client that keeps its port would go on talking to
// whoever had the port before, or to nobody. TCP clients find out by themselves.
std::vector<Bytes> forget_flows_requests(const Endpoint& endpoint);

// Best effort: the flows also end by themselves, half a minute after their last packet.
void forget_flows(const Endpoint& endpoint);

}  // namespace network
