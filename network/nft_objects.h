// nftables objects but rules and elements, as messages: tables, chains and maps.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
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

// A set or map of the table, as the kernel is told about it.
struct SetLayout {
  std::string_view name;
  std::uint32_t key_type = 0, key_size = 0;
  std::uint32_t data_type = 0, data_size = 0;  // 0: a set
  bool has_intervals = false;
};
// All that the table has, in the order of their creation.
std::span<const SetLayout> table_sets();

Bytes table_message(const BridgeConfig& config, std::uint16_t type, std::uint16_t flags);
Bytes chain_message(const BridgeConfig& config, std::uint16_t type, const std::string& name,
                    const Hook* hook = nullptr);
Bytes set_message(const BridgeConfig& config, const SetLayout& set);
// Empties every chain of the table.
Bytes flush_message(const BridgeConfig& config);

struct ChainState {
  std::string table, name;
  std::uint32_t use = 0;  // its rules and the jumps to it
};
std::optional<ChainState> parse_chain(ByteSpan message);

}  // namespace network
