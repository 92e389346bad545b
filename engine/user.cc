#include "engine/user.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/error.h"

namespace engine {
namespace {

constexpr std::uint64_t kMaxId = (1ULL << 31U) - 1;

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

// The number that `text` is, however large; nullopt where it is a name.
std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::string_view digits = text;
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  if (digits.empty() || digits.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (result.ec != std::errc() || value > kMaxId || text[0] == '-' || text[0] == '+') {
    refuse("uids and gids must be in range 0-2147483647: " + std::string(text));
  }
  return static_cast<std::uint32_t>(value);
}

// An id in a file of the image: garbage makes the line unusable, not the container.
std::optional<std::uint32_t> parse_id_of_file(std::string_view text) {
  std::uint32_t value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size() ||
      value > kMaxId) {
    return std::nullopt;
  }
  return value;
}

template <std::size_t kFields>
std::array<std::string_view, kFields> split(std::string_view line) {
  std::array<std::string_view, kFields> fields;
  for (std::size_t i = 0; i < kFields && !line.empty(); ++i) {
    const std::size_t end = line.find(':');
    fields[i] = line.substr(0, end);
    line = end == std::string_view::npos ? std::string_view() : line.substr(end + 1);
  }
  return fields;
}

template <class Visitor>
void for_each_line(std::string_view text, Visitor&& visit) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (!line.empty() && line[0] != '#') visit(line);
  }
}

bool is_member(std::string_view members, std::string_view name) {
  while (!members.empty()) {
    const std::size_t end = members.find(',');
    if (members.substr(0, end) == name) return true;
    members = end == std::string_view::npos ? std::string_view() : members.substr(end + 1);
  }
  return false;
}

struct PasswdEntry {
  std::string_view name, home;
  std::uint32_t uid = 0, gid = 0;
};

// The first entry with that id, or that name.
std::optional<PasswdEntry> find_user(std::string_view passwd, std::optional<std::uint32_t> uid,
                                     std::string_view name) {
  std::optional<PasswdEntry> found;
  for_each_line(passwd, [&](std::string_view line) {
    if (found) return;
    const auto fields = split<7>(line);
    const auto entry_uid = parse_id_of_file(fields[2]);
    const auto entry_gid = parse_id_of_file(fields[3]);
    if (!entry_uid || !entry_gid) return;
    if (uid ? *entry_uid != *uid : fields[0] != name) return;
    found = PasswdEntry{fields[0], fields[5], *entry_uid, *entry_gid};
  });
  return found;
}

std::optional<std::uint32_t> find_group(std::string_view group, std::string_view name) {
  std::optional<std::uint32_t> found;
  for_each_line(group, [&](std::string_view line) {
    if (found) return;
    const auto fields = split<4>(line);
    if (fields[0] == name) found = parse_id_of_file(fields[2]);
  });
  return found;
}

std::vector<std::uint32_t> groups_of(std::string_view group, std::string_view user) {
  std::vector<std::uint32_t> gids;
  for_each_line(group, [&](std::string_view line) {
    const auto fields = split<4>(line);
    const auto gid = parse_id_of_file(fields[2]);
    if (gid && is_member(fields[3], user)) gids.push_back(*gid);
  });
  return gids;
}

std::uint32_t load_group(const std::string& name, std::string_view group_file) {
  if (const auto gid = parse_id(name)) return *gid;
  if (const auto gid = find_group(group_file, name)) return *gid;
  refuse("unable to find group " + name + ": no matching entries in group file");
}

void add_unique(std::vector<std::uint32_t>& gids, std::uint32_t gid) {
  if (std::find(gids.begin(), gids.end(), gid) == gids.end()) gids.push_back(gid);
}

}  // namespace

ContainerUser plan_user(std::string_view who, const std::vector<std::string>& group_add,
                        const UserFiles& files) {
  const std::size_t colon = who.find(':');
  const std::string user(who.substr(0, colon));
  const std::string group(colon == std::string_view::npos ? "" : who.substr(colon + 1));

  ContainerUser result;
  const auto uid = user.empty() ? std::optional<std::uint32_t>(0) : parse_id(user);
  const auto entry = find_user(files.passwd, uid, user);
  if (entry) {
    result.uid = entry->uid;
    result.gid = entry->gid;
    if (!entry->home.empty()) result.home = std::string(entry->home);
  } else if (uid) {
    result.uid = *uid;
  } else {
    refuse("unable to find user " + user + ": no matching entries in passwd file");
  }

  std::vector<std::uint32_t> member_of;
  if (!group.empty()) {
    result.gid = load_group(group, files.group);
  } else if (entry && !entry->name.empty()) {
    member_of = groups_of(files.group, entry->name);
  }
  add_unique(result.additional_gids, result.gid);
  for (const std::uint32_t gid : member_of) add_unique(result.additional_gids, gid);
  for (const std::string& name : group_add) {
    add_unique(result.additional_gids, load_group(name, files.group));
  }
  return result;
}

}  // namespace engine
