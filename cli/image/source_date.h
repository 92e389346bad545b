// SOURCE_DATE_EPOCH: no time in what is made is later (reproducible-builds.org).
#pragma once

#include <cstdint>
#include <optional>

namespace cli {

// Seconds since 1970; nullopt where the variable is not set. Throws kInvalid where it is no number.
std::optional<std::int64_t> find_source_date();

}  // namespace cli
