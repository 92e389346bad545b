// nftables objects but rules and elements, as messages: tables, chains and maps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "network/bridge.h"
#include "network/message.h"

namespace network {

struct Hook {
  const char* type;  // "nat", "filter"
  std::uint32_t number;
  std::int32_t priority;
};

// What a map is looked up by; what it holds is always {address . port}.
enum class MapKey : std::uint8_t { kAddressProtocolPort, kProtocolPort };

Bytes table_message(const BridgeConfig& config, std::uint16_t type, std::uint16_t flags);
Bytes chain_message(const BridgeConfig& config, std::uint16_t type, const std::string& name,
                    const Hook* hook = nullptr);
Bytes map_message(const BridgeConfig& config, std::string_view name, MapKey key);
// Empties every chain of the table.
Bytes flush_message(const BridgeConfig& config);

struct ChainState {
  std::string table, name;
  std::uint32_t use = 0;  // its rules and the jumps to it
};
std::optional<ChainState> parse_chain(ByteSpan message);

}  // namespace network
