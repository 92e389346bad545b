#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "oci/runtime_spec_json.h"

namespace oci {
namespace {

constexpr JsonLimits kLimits = {.bytes = 16U << 20U, .depth = 64};

// "1.0.2", "1.2.0+dev": version 1 of the specification, whatever its minor version (config.md,
// Specification version: semantic versions).
std::string parse_version(const JsonValue& value) {
  std::string version = value.string();
  const bool is_plain = std::all_of(version.begin(), version.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
           c == '-' || c == '+';
  });
  if (!is_plain || !version.starts_with("1.")) {
    value.fail("\"" + base::printable(version, 40) + "\" is not a version 1 of the specification");
  }
  return version;
}

Root parse_root(const JsonValue& value) {
  Root root;
  root.path = value["path"].string();
  if (root.path.empty()) value["path"].fail("must not be empty");
  value["readonly"].read(root.readonly);
  return root;
}

Mount parse_mount(const JsonValue& value) {
  Mount mount;
  mount.destination = value["destination"].string();
  if (mount.destination.empty()) value["destination"].fail("must not be empty");
  value["type"].read(mount.type);
  value["source"].read(mount.source);
  value["options"].read(mount.options);
  mount.uid_mappings = parse_mappings(value["uidMappings"]);
  mount.gid_mappings = parse_mappings(value["gidMappings"]);
  return mount;
}

Hook parse_hook(const JsonValue& value) {
  Hook hook;
  hook.path = parse_absolute_path(value["path"]);
  value["args"].read(hook.args);
  value["env"].read(hook.env);
  value["timeout"].read(hook.timeout);
  if (hook.timeout && *hook.timeout <= 0) value["timeout"].fail("must be greater than zero");
  return hook;
}

std::vector<Hook> parse_hook_list(const JsonValue& value) {
  std::vector<Hook> hooks;
  for (const JsonValue& element : value.elements()) hooks.push_back(parse_hook(element));
  return hooks;
}

Hooks parse_hooks(const JsonValue& value) {
  return {.prestart = parse_hook_list(value["prestart"]),
          .create_runtime = parse_hook_list(value["createRuntime"]),
          .create_container = parse_hook_list(value["createContainer"]),
          .start_container = parse_hook_list(value["startContainer"]),
          .poststart = parse_hook_list(value["poststart"]),
          .poststop = parse_hook_list(value["poststop"])};
}

RuntimeSpec parse_root_object(const JsonValue& value) {
  refuse_unsupported(value, {"solaris", "windows", "vm", "zos", "freebsd"});
  RuntimeSpec spec;
  spec.oci_version = parse_version(value["ociVersion"]);
  if (!value["root"].exists()) value["root"].fail("missing");
  spec.root = parse_root(value["root"]);
  for (const JsonValue& mount : value["mounts"].elements()) {
    spec.mounts.push_back(parse_mount(mount));
  }
  if (value["process"].exists()) spec.process = parse_process(value["process"]);
  value["hostname"].read(spec.hostname);
  value["domainname"].read(spec.domainname);
  spec.hooks = parse_hooks(value["hooks"]);
  value["annotations"].read(spec.annotations);
  if (spec.annotations.contains("")) value["annotations"].fail("a key must not be empty");
  spec.linux_ = parse_linux(value["linux"]);
  return spec;
}

}  // namespace

void refuse_unsupported(const JsonValue& object, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names) {
    const JsonValue member = object[name];
    if (!member.is_empty()) member.fail("is not supported by this runtime");
  }
}

std::vector<IdMapping> parse_mappings(const JsonValue& value) {
  std::vector<IdMapping> mappings;
  for (const JsonValue& element : value.elements()) {
    mappings.push_back({.container_id = element["containerID"].integer<std::uint32_t>(),
                        .host_id = element["hostID"].integer<std::uint32_t>(),
                        .size = element["size"].integer<std::uint32_t>()});
  }
  return mappings;
}

std::string parse_absolute_path(const JsonValue& value) {
  std::string path = value.string();
  if (!path.starts_with('/')) {
    value.fail("\"" + base::printable(path) + "\" must be an absolute path");
  }
  return path;
}

RuntimeSpec parse_runtime_spec(std::string_view json) {
  return base::while_doing("runtime spec", [&] {
    const JsonDocument document(json, kLimits);
    return parse_root_object(document.root());
  });
}

Process parse_process(std::string_view json) {
  return base::while_doing("process", [&] {
    const JsonDocument document(json, kLimits);
    return parse_process(document.root());
  });
}

}  // namespace oci
