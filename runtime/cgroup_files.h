// Small readers and writers for cgroup directories, shared by the cgroup_*.cc files.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runtime {

// The value of "name 123" lines as in cpu.stat, memory.events, memory.oom_control.
std::optional<std::uint64_t> find_flat_value(std::string_view text, std::string_view name);
// A file that holds one number; "max" and v1's "no limit" give UINT64_MAX. nullopt: no such file.
std::optional<std::uint64_t> find_number(const std::string& file);
std::uint64_t number_of(const std::string& file);  // 0 where there is no such file
std::string parent_of(const std::string& path);    // "/" of what lies right below it
std::vector<std::string> split_words(std::string_view text);

// 0 or errno. One write(2), as these files want it.
int write_cgroup_file(const std::string& file, std::string_view value);
int write_cgroup_value(int fd, std::string_view value);

bool is_cgroup2(const std::string& directory);

// One group on the way of for_each_group(); unlinkat(parent_fd, name, AT_REMOVEDIR) removes it.
struct GroupEntry {
  int parent_fd = -1;
  const char* name = nullptr;
  int fd = -1;
};
// Calls `visit` for every group below `path`, innermost first, `path` itself last. By descriptors,
// so that no depth of nesting makes a path too long. A missing `path` is no group.
void for_each_group(const std::string& path, const std::function<void(const GroupEntry&)>& visit);

// The path among `paths` of the hierarchy that has `file` in every group but its root.
std::optional<std::string> find_path_with(const std::vector<std::string>& paths,
                                          const std::string& file);

}  // namespace runtime
