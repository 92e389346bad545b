// Disk usage of several trees that share files by hard links.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace base {

// As disk_usage() (files.h) for each, in their order: what they share counts with the first that
// has it, so that the sum is what `du -s` says of all. A missing path takes nothing.
std::vector<std::uint64_t> disk_usage_of_each(const std::vector<std::filesystem::path>& paths);

}  // namespace base
