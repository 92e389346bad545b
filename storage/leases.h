// Leases: addresses of containers, one for each container and network.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "storage/store.h"

namespace storage {

class Database;

// Within a transaction: the container's address, an old one if it has one. Throws kUnavailable
// where none is free, kConflict where the wanted one is taken.
std::uint32_t take_address(Database& database, std::string_view container,
                           const LeaseRequest& request);

}  // namespace storage
