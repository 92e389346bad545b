// Short switches: "-H=false", which pflag takes for any switch, in the form that CLI11 knows.
#pragma once

#include <string>
#include <vector>

#include "cli/arguments.h"

namespace cli {

// `words` with "-x=value" of a switch written as "--long=value". Values of other flags are left
// alone, and so is what stands behind "--", or behind the first argument where flags end there.
std::vector<std::string> with_long_switches(const Syntax& syntax, const std::vector<Flag>& flags,
                                            std::vector<std::string> words);

}  // namespace cli
