// Moments: docker's --since and --until.
#pragma once

#include <string>

#include "base/time.h"

namespace cli {

// RFC 3339, a date without time or zone (then the local one), seconds since the epoch, or a
// duration back from now; 0 for an empty text. Throws kInvalid, naming the flag.
base::Nanoseconds parse_moment(const std::string& flag, const std::string& text);

}  // namespace cli
