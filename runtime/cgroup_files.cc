#include "runtime/cgroup_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <limits>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/files.h"
#include "base/unique_fd.h"

namespace runtime {
namespace {

// memory.limit_in_bytes of a group without limit: LONG_MAX rounded down to a page of any size.
constexpr std::uint64_t kV1Unlimited = 0x7fffffffffff0000;

using Directory = base::CHandle<DIR, closedir>;

Directory open_directory(int parent_fd, const char* name) {
  base::UniqueFd fd(openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return nullptr;
  Directory stream(fdopendir(fd.get()));
  if (stream) static_cast<void>(fd.release());  // now the stream's
  return stream;
}

// The next entry of the directory that is a group of its own; null at the end.
const char* next_group(DIR* stream) {
  while (const dirent* entry = readdir(stream)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '\0' &&
        std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
      return entry->d_name;
    }
  }
  return nullptr;
}

}  // namespace

std::optional<std::uint64_t> find_flat_value(std::string_view text, std::string_view name) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (line.size() <= name.size() || line[name.size()] != ' ' || !line.starts_with(name)) continue;
    std::uint64_t value = 0;
    const char* const begin = line.data() + name.size() + 1;
    if (std::from_chars(begin, line.data() + line.size(), value).ec != std::errc())
      return std::nullopt;
    return value;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> find_number(const std::string& file) {
  const auto text = base::find_file(file);
  if (!text) return std::nullopt;
  if (text->starts_with("max")) return std::numeric_limits<std::uint64_t>::max();
  std::uint64_t value = 0;
  if (std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc()) {
    return std::nullopt;
  }
  return value >= kV1Unlimited ? std::numeric_limits<std::uint64_t>::max() : value;
}

std::uint64_t number_of(const std::string& file) { return find_number(file).value_or(0); }

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos || slash == 0 ? "/" : path.substr(0, slash);
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  constexpr std::string_view kBlank = " \t\n,";
  for (std::size_t at = text.find_first_not_of(kBlank); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(kBlank, at), text.size());
    words.emplace_back(text.substr(at, end - at));
    at = text.find_first_not_of(kBlank, end);
  }
  return words;
}

int write_cgroup_value(int fd, std::string_view value) {
  for (;;) {
    if (write(fd, value.data(), value.size()) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

int write_cgroup_file(const std::string& file, std::string_view value) {
  const base::UniqueFd fd(open(file.c_str(), O_WRONLY | O_CLOEXEC));
  return fd ? write_cgroup_value(fd.get(), value) : errno;
}

bool is_cgroup2(const std::string& directory) {
  struct statfs info = {};
  return statfs(directory.c_str(), &info) == 0 && info.f_type == CGROUP2_SUPER_MAGIC;
}

void for_each_group(const std::string& path, const std::function<void(const GroupEntry&)>& visit) {
  struct Level {
    Directory stream;
    std::string name;
  };
  std::vector<Level> stack;
  stack.push_back({open_directory(AT_FDCWD, path.c_str()), path});
  if (!stack.back().stream) return;
  while (!stack.empty()) {
    DIR* const stream = stack.back().stream.get();
    if (const char* const name = next_group(stream)) {
      std::string copy = name;
      if (Directory child = open_directory(dirfd(stream), name)) {
        stack.push_back({std::move(child), std::move(copy)});
      }
      continue;
    }
    const int parent_fd = stack.size() > 1 ? dirfd(stack[stack.size() - 2].stream.get()) : AT_FDCWD;
    visit({.parent_fd = parent_fd, .name = stack.back().name.c_str(), .fd = dirfd(stream)});
    stack.pop_back();
  }
}

std::optional<std::string> find_path_with(const std::vector<std::string>& paths,
                                          const std::string& file) {
  for (const std::string& path : paths) {
    if (access((path + '/' + file).c_str(), F_OK) == 0) return path;
  }
  return std::nullopt;
}

}  // namespace runtime
