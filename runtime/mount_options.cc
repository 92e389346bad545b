#include "runtime/mount_options.h"

#include <algorithm>
#include <linux/mount.h>
#include <string_view>

#include "base/error.h"

namespace runtime {
namespace {

struct Attribute {
  std::string_view name;
  std::uint64_t set, clear;
};

// See mount_setattr(2): the access times are one field, which is cleared as a whole before it is
// set.
constexpr Attribute kAttributes[] = {
    {"ro", MOUNT_ATTR_RDONLY, 0},
    {"rw", 0, MOUNT_ATTR_RDONLY},
    {"nosuid", MOUNT_ATTR_NOSUID, 0},
    {"suid", 0, MOUNT_ATTR_NOSUID},
    {"nodev", MOUNT_ATTR_NODEV, 0},
    {"dev", 0, MOUNT_ATTR_NODEV},
    {"noexec", MOUNT_ATTR_NOEXEC, 0},
    {"exec", 0, MOUNT_ATTR_NOEXEC},
    {"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"norelatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
    {"atime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
    {"nostrictatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME},
    {"nodiratime", MOUNT_ATTR_NODIRATIME, 0},
    {"diratime", 0, MOUNT_ATTR_NODIRATIME},
    {"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0},
    {"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW},
};

constexpr std::string_view kSubpath = "x-sampan.subpath=";
constexpr std::string_view kFromNamespace = "x-sampan.namespace=";

// Options of other runtimes that would be taken for one of the file system.
constexpr std::string_view kRefused[] = {"idmap", "ridmap", "copy-symlink", "src-nofollow",
                                         "dest-nofollow"};
// What is so anyway, or no file system has an option for any more.
constexpr std::string_view kWithoutEffect[] = {"defaults", "async", "nolazytime", "nomand",
                                               "mand",     "loud",  "silent",     "noiversion",
                                               "iversion", "none"};

template <class Words>
bool is_among(const Words& words, std::string_view word) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

const Attribute* find_attribute(std::string_view word) {
  const auto* const found = std::find_if(std::begin(kAttributes), std::end(kAttributes),
                                         [&](const Attribute& each) { return word == each.name; });
  return found == std::end(kAttributes) ? nullptr : found;
}

bool find_special(std::string_view option, MountOptions& result) {
  if (option == "idmap" || option == "ridmap") {
    result.id_mapped = true;
    result.recursive_id_mapped |= option == "ridmap";
  } else if (option == "tmpcopyup") {
    result.copy_up = true;
  } else if (option.starts_with(kSubpath)) {
    result.subpath = option.substr(kSubpath.size());
  } else if (option.starts_with(kFromNamespace)) {
    result.mount_namespace = option.substr(kFromNamespace.size());
  } else if (option == "x-sampan.host") {
    result.by_parent = true;
  } else if (option == "remount") {
    result.remount = true;
  } else {
    return false;
  }
  return true;
}

void apply(const Attribute& attribute, std::uint64_t& set, std::uint64_t& clear) {
  set = (set & ~attribute.clear) | attribute.set;
  clear = (clear & ~attribute.set) | attribute.clear;
}

}  // namespace

Propagation find_propagation(std::string_view word) {
  static constexpr std::pair<std::string_view, std::uint64_t> kTypes[] = {
      {"shared", MS_SHARED},
      {"slave", MS_SLAVE},
      {"private", MS_PRIVATE},
      {"unbindable", MS_UNBINDABLE}};
  for (const auto& [name, type] : kTypes) {
    if (!word.ends_with(name)) continue;
    if (word.size() == name.size()) return {.type = type};
    if (word.size() == name.size() + 1 && word[0] == 'r') return {.type = type, .recursive = true};
  }
  return {};
}

MountOptions parse_mount_options(const std::vector<std::string>& options) {
  MountOptions result;
  for (const std::string& option : options) {
    if (option.empty() || is_among(kWithoutEffect, option)) continue;
    if (option == "bind" || option == "rbind") {
      result.bind = true;
      result.recursive_bind |= option == "rbind";
      continue;
    }
    if (const Propagation propagation = find_propagation(option); propagation.type != 0) {
      (propagation.recursive ? result.recursive_propagation : result.propagation) =
          propagation.type;
      continue;
    }
    if (find_special(option, result)) continue;
    const std::string_view key = std::string_view(option).substr(0, option.find('='));
    if (is_among(kRefused, key)) {
      throw base::Error(base::ErrorKind::kUnsupported, "mount option \"" + option + "\"");
    }
    if (const Attribute* attribute = find_attribute(option)) {
      apply(*attribute, result.set, result.clear);
    } else if (const Attribute* recursive = option[0] == 'r'
                                                ? find_attribute(std::string_view(option).substr(1))
                                                : nullptr) {
      apply(*recursive, result.recursive_set, result.recursive_clear);
    } else {
      const std::size_t equals = option.find('=');
      result.data.emplace_back(
          key, equals == std::string::npos ? std::string() : option.substr(equals + 1));
    }
  }
  return result;
}

std::string render_attributes(std::uint64_t set, std::uint64_t clear) {
  std::string text;
  const auto add = [&](std::string_view name) {
    if (!text.empty()) text += ',';
    text += name;
  };
  for (const Attribute& attribute : kAttributes) {
    const bool times = attribute.clear == MOUNT_ATTR__ATIME;
    if (times) continue;
    if (attribute.set != 0 && (set & attribute.set) != 0) add(attribute.name);
    if (attribute.set == 0 && (clear & attribute.clear) != 0) add(attribute.name);
  }
  if ((set & MOUNT_ATTR_NOATIME) != 0) add("noatime");
  if ((set & MOUNT_ATTR_STRICTATIME) != 0) add("strictatime");
  return text;
}

}  // namespace runtime
