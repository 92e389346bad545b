// docker's JSON format of a seccomp profile: names with conditions, resolved for one container.
#include <algorithm>
#include <charconv>
#include <sys/utsname.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "oci/json.h"
#include "runtime/default_seccomp.h"
#include "runtime/defaults.h"
#include "runtime/name_lists.h"

namespace runtime {
namespace {

using Json = nlohmann::json;

[[noreturn]] void throw_profile(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

// Reading docker's JSON: null counts as absent, as Go's decoder has it.
const Json* find_member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_member(const Json& object, const char* name) {
  const Json* const member = find_member(object, name);
  if (member == nullptr) return {};
  if (!member->is_string()) throw_profile(std::string("\"") + name + "\" is not a string");
  return member->get<std::string>();
}

std::vector<std::string> list_member(const Json& object, const char* name) {
  const Json* const member = find_member(object, name);
  std::vector<std::string> list;
  if (member == nullptr) return list;
  if (!member->is_array()) throw_profile(std::string("\"") + name + "\" is not a list");
  for (const Json& item : *member) {
    if (!item.is_string())
      throw_profile(std::string("\"") + name + "\" holds something else than strings");
    list.push_back(item.get<std::string>());
  }
  return list;
}

std::uint64_t member_number(const Json& value, const char* name) {
  if (!value.is_number_unsigned())
    throw_profile(std::string("\"") + name + "\" is not a number from 0 on");
  return value.get<std::uint64_t>();
}

std::optional<std::uint32_t> errno_member(const Json& object, const char* name) {
  const Json* const member = find_member(object, name);
  if (member == nullptr) return std::nullopt;
  const std::uint64_t value = member_number(*member, name);
  if (value > 4095) throw_profile(std::string("\"") + name + "\" is no error number");  // MAX_ERRNO
  return static_cast<std::uint32_t>(value);
}

const Json& array_member(const Json& object, const char* name) {
  static const Json none = Json::array();
  const Json* const member = find_member(object, name);
  if (member == nullptr) return none;
  if (!member->is_array()) throw_profile(std::string("\"") + name + "\" is not a list");
  for (const Json& item : *member) {
    if (!item.is_object())
      throw_profile(std::string("\"") + name + "\" holds something else than objects");
  }
  return *member;
}

// "4.8" or "6.1.0-28-amd64" as {4, 8}.
std::pair<unsigned, unsigned> parse_kernel(const std::string& text) {
  unsigned major = 0;
  unsigned minor = 0;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.')
    throw_profile("kernel version \"" + text + "\"");
  if (std::from_chars(first.ptr + 1, end, minor).ec != std::errc())
    throw_profile("kernel version \"" + text + "\"");
  return {major, minor};
}

bool kernel_is_at_least(const std::string& wanted) {
  utsname name = {};
  base::check(uname(&name), "uname");
  return parse_kernel(name.release) >= parse_kernel(wanted);
}

const Json& condition_member(const Json& rule, const char* name) {
  static const Json none = Json::object();
  const Json* const member = find_member(rule, name);
  if (member == nullptr) return none;
  if (!member->is_object()) throw_profile(std::string("\"") + name + "\" is not an object");
  return *member;
}

bool applies(const Json& rule, const std::set<std::string>& capabilities) {
  const Json& excludes = condition_member(rule, "excludes");
  const Json& includes = condition_member(rule, "includes");
  if (contains(list_member(excludes, "arches"), go_architecture())) return false;
  for (const std::string& name : list_member(excludes, "caps")) {
    if (capabilities.contains(name)) return false;
  }
  const std::string too_new = text_member(excludes, "minKernel");
  if (!too_new.empty() && kernel_is_at_least(too_new)) return false;
  const auto arches = list_member(includes, "arches");
  if (!arches.empty() && !contains(arches, go_architecture())) return false;
  for (const std::string& name : list_member(includes, "caps")) {
    if (!capabilities.contains(name)) return false;
  }
  const std::string oldest = text_member(includes, "minKernel");
  return oldest.empty() || kernel_is_at_least(oldest);
}

oci::SyscallArgument parse_argument(const Json& json) {
  oci::SyscallArgument argument;
  if (const Json* index = find_member(json, "index")) {
    const std::uint64_t value = member_number(*index, "index");
    if (value > 5) throw_profile("argument index " + std::to_string(value));
    argument.index = static_cast<std::uint32_t>(value);
  }
  if (const Json* value = find_member(json, "value"))
    argument.value = member_number(*value, "value");
  if (const Json* value = find_member(json, "valueTwo"))
    argument.value_two = member_number(*value, "valueTwo");
  argument.op = text_member(json, "op");
  return argument;
}

oci::SyscallRule parse_rule(const Json& json) {
  oci::SyscallRule rule;
  rule.names = list_member(json, "names");
  const std::string name = text_member(json, "name");
  if (!name.empty() && !rule.names.empty()) throw_profile("a rule has both \"name\" and \"names\"");
  if (!name.empty()) rule.names.push_back(name);
  if (rule.names.empty()) throw_profile("a rule has no \"names\"");
  rule.action = text_member(json, "action");
  rule.errno_ret = errno_member(json, "errnoRet");
  for (const Json& argument : array_member(json, "args"))
    rule.args.push_back(parse_argument(argument));
  return rule;
}

std::vector<std::string> parse_architectures(const Json& json) {
  std::vector<std::string> listed = list_member(json, "architectures");
  const Json& map = array_member(json, "archMap");
  if (!listed.empty() && !map.empty())
    throw_profile("both \"architectures\" and \"archMap\" are given");
  const auto own = default_seccomp_architectures();
  for (const Json& entry : map) {
    const std::string architecture = text_member(entry, "architecture");
    if (own.empty() || architecture != own.front()) continue;
    listed = list_member(entry, "subArchitectures");
    listed.insert(listed.begin(), architecture);
    break;
  }
  return listed;
}

}  // namespace

oci::Seccomp parse_seccomp_profile(std::string_view json,
                                   const std::set<std::string>& capabilities) {
  return base::while_doing("seccomp profile", [&] {
    const Json root = oci::parse_json(json);
    if (!root.is_object()) throw_profile("not an object");
    oci::Seccomp profile;
    profile.default_action = text_member(root, "defaultAction");
    if (profile.default_action.empty()) throw_profile("no \"defaultAction\"");
    profile.default_errno_ret = errno_member(root, "defaultErrnoRet");
    profile.architectures = parse_architectures(root);
    profile.flags = list_member(root, "flags");
    profile.listener_path = text_member(root, "listenerPath");
    profile.listener_metadata = text_member(root, "listenerMetadata");
    for (const Json& rule : array_member(root, "syscalls")) {
      oci::SyscallRule parsed = parse_rule(rule);
      if (applies(rule, capabilities)) profile.syscalls.push_back(std::move(parsed));
    }
    return profile;
  });
}

}  // namespace runtime
