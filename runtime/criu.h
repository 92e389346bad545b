// run_criu: one run of the installed criu, whose failure is told in its own words.
#pragma once

#include <string>
#include <vector>

#include "base/process.h"
#include "runtime/checkpoint.h"

namespace runtime {

// `action`: "dump", "pre-dump", "restore"; `words` before those of the options. Throws kUnsupported
// where there is no criu, kSystem with the last reason in its log.
void run_criu(const CriuOptions& criu, const std::vector<std::string>& words,
              const std::string& action, const std::vector<base::DescriptorMap>& descriptors);

}  // namespace runtime
