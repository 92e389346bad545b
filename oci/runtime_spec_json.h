// The parts of config.json that are big enough for a file of their own: for this folder's runtime
// spec parser and renderer only.
#pragma once

#include <initializer_list>
#include <string_view>

#include "oci/json_value.h"
#include "oci/json_writer.h"
#include "oci/runtime_spec.h"

namespace oci {

// Throws where `object` has one of these members and it says something. They are members that the
// specification wants obeyed and that this build can't obey. Any other unknown member is ignored
// (runtime-spec, config.md, Extensibility).
void refuse_unsupported(const JsonValue& object, std::initializer_list<std::string_view> names);

std::string parse_absolute_path(const JsonValue& value);
std::vector<IdMapping> parse_mappings(const JsonValue& value);
void write_mappings(JsonWriter& json, std::string_view name,
                    const std::vector<IdMapping>& mappings);

Process parse_process(const JsonValue& value);
Linux parse_linux(const JsonValue& value);
Resources parse_resources(const JsonValue& value);
Seccomp parse_seccomp(const JsonValue& value);

void write_process(JsonWriter& json, const Process& process);
void write_linux(JsonWriter& json, const Linux& settings);
void write_resources(JsonWriter& json, const Resources& resources);
void write_seccomp(JsonWriter& json, const Seccomp& seccomp);

}  // namespace oci
