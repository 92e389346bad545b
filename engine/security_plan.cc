#include "engine/security_plan.h"

#include <algorithm>
#include <string_view>

#include "base/error.h"
#include "runtime/defaults.h"

namespace engine {
namespace {

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// "net_admin", "CAP_NET_ADMIN" → "CAP_NET_ADMIN"; "all" → "ALL".
std::string normalize(const std::string& name, const std::vector<std::string>& all) {
  std::string upper = name;
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  if (upper == "ALL" || upper == "CAP_ALL") return "ALL";
  if (!upper.starts_with("CAP_")) upper.insert(0, "CAP_");
  if (!contains(all, upper)) refuse("invalid capability: \"" + name + "\"");
  return upper;
}

std::vector<std::string> normalize(const std::vector<std::string>& names,
                                   const std::vector<std::string>& all) {
  std::vector<std::string> result;
  for (const std::string& name : names) result.push_back(normalize(name, all));
  return result;
}

// The number is docker's: its daemon's second look, which users find when they search for it.
[[noreturn]] void refuse_option(const std::string& option) {
  refuse("invalid --security-opt 2: \"" + option + "\"");
}

// The words of Go's strconv.ParseBool.
bool parse_switch(const std::string& value, const std::string& option) {
  static const std::vector<std::string> kTrue = {"1", "t", "T", "TRUE", "true", "True"};
  static const std::vector<std::string> kFalse = {"0", "f", "F", "FALSE", "false", "False"};
  if (contains(kTrue, value)) return true;
  if (contains(kFalse, value)) return false;
  refuse_option(option);
}

void apply_seccomp(const std::string& value, SecurityOptions& result) {
  using Mode = SecurityOptions::SeccompMode;
  result.seccomp = value == "unconfined"                      ? Mode::kUnconfined
                   : value == "builtin" || value == "default" ? Mode::kDefault
                                                              : Mode::kFile;
  result.seccomp_profile = result.seccomp == Mode::kFile ? value : "";
}

}  // namespace

SecurityOptions parse_security_options(const std::vector<std::string>& options) {
  SecurityOptions result;
  for (const std::string& option : options) {
    if (option == "no-new-privileges") {
      result.no_new_privileges = true;
      continue;
    }
    // A colon only where there is no equals sign: as docker, which has kept its old spelling.
    std::size_t split = option.find('=');
    if (split == std::string::npos) split = option.find(':');
    if (split == std::string::npos) refuse("Invalid --security-opt: \"" + option + "\"");
    const std::string key = option.substr(0, split);
    const std::string value = option.substr(split + 1);
    if (key == "no-new-privileges") {
      result.no_new_privileges = parse_switch(value, option);
    } else if (key == "seccomp" && !value.empty()) {
      apply_seccomp(value, result);
    } else if (key == "systempaths" && value == "unconfined") {
      result.system_paths_unconfined = true;
    } else if (key == "apparmor") {
      result.apparmor = value;
    } else if (key == "label") {
      result.labels.push_back(value);
    } else {
      refuse_option(option);
    }
  }
  return result;
}

std::vector<std::string> plan_capabilities(const ContainerOptions& options,
                                           const std::vector<std::string>& all) {
  if (options.privileged) return all;
  const std::vector<std::string> add = normalize(options.cap_add, all);
  const std::vector<std::string> drop = normalize(options.cap_drop, all);
  // As moby's caps.TweakCapabilities: with ALL added, what is dropped is taken from everything;
  // with ALL dropped, only what is added stays; where one name is in both lists, it is added.
  std::vector<std::string> result;
  if (contains(add, "ALL")) {
    for (const std::string& name : all) {
      if (!contains(drop, name)) result.push_back(name);
    }
    return result;
  }
  if (!contains(drop, "ALL")) {
    for (const std::string& name : runtime::default_capabilities()) {
      if (!contains(drop, name)) result.push_back(name);
    }
  }
  for (const std::string& name : add) {
    if (!contains(result, name)) result.push_back(name);
  }
  return result;
}

oci::Capabilities make_capability_sets(const std::vector<std::string>& names, std::uint32_t uid) {
  oci::Capabilities sets;
  sets.bounding = names;
  // execve(2) would clear these for a process of another id; a bundle should say what will be so.
  if (uid == 0) {
    sets.effective = names;
    sets.permitted = names;
  }
  return sets;
}

}  // namespace engine
