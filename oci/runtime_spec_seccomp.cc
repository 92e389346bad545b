#include <utility>

#include "oci/runtime_spec_json.h"

namespace oci {
namespace {

SyscallArgument parse_argument(const JsonValue& value) {
  SyscallArgument argument{.index = value["index"].integer<std::uint32_t>(),
                           .value = value["value"].integer<std::uint64_t>(),
                           .value_two = 0,
                           .op = value["op"].string()};
  value["valueTwo"].read(argument.value_two);
  return argument;
}

SyscallRule parse_rule(const JsonValue& value) {
  SyscallRule rule;
  value["names"].read(rule.names);
  if (rule.names.empty()) value["names"].fail("must name a system call");
  rule.action = value["action"].string();
  value["errnoRet"].read(rule.errno_ret);
  for (const JsonValue& argument : value["args"].elements()) {
    rule.args.push_back(parse_argument(argument));
  }
  return rule;
}

void write_argument(JsonWriter& json, const SyscallArgument& argument) {
  json.begin_object().key("index").value(argument.index).key("value").value(argument.value);
  if (argument.value_two != 0) json.key("valueTwo").value(argument.value_two);
  json.key("op").value(argument.op).end_object();
}

void write_rule(JsonWriter& json, const SyscallRule& rule) {
  json.begin_object().key("names").value(rule.names).key("action").value(rule.action);
  json.member("errnoRet", rule.errno_ret);
  if (!rule.args.empty()) {
    json.key("args").begin_array();
    for (const SyscallArgument& argument : rule.args) write_argument(json, argument);
    json.end_array();
  }
  json.end_object();
}

}  // namespace

Seccomp parse_seccomp(const JsonValue& value) {
  Seccomp seccomp;
  seccomp.default_action = value["defaultAction"].string();
  value["defaultErrnoRet"].read(seccomp.default_errno_ret);
  value["architectures"].read(seccomp.architectures);
  value["flags"].read(seccomp.flags);
  value["listenerPath"].read(seccomp.listener_path);
  value["listenerMetadata"].read(seccomp.listener_metadata);
  const std::vector<JsonValue> rules = value["syscalls"].elements();
  seccomp.syscalls.reserve(rules.size());
  for (const JsonValue& rule : rules) seccomp.syscalls.push_back(parse_rule(rule));
  return seccomp;
}

void write_seccomp(JsonWriter& json, const Seccomp& seccomp) {
  json.begin_object()
      .key("defaultAction")
      .value(seccomp.default_action)
      .member("defaultErrnoRet", seccomp.default_errno_ret)
      .member_unless_empty("architectures", seccomp.architectures)
      .member_unless_empty("flags", seccomp.flags)
      .member_unless_empty("listenerPath", seccomp.listener_path)
      .member_unless_empty("listenerMetadata", seccomp.listener_metadata);
  if (!seccomp.syscalls.empty()) {
    json.key("syscalls").begin_array();
    for (const SyscallRule& rule : seccomp.syscalls) write_rule(json, rule);
    json.end_array();
  }
  json.end_object();
}

}  // namespace oci
