// What docker's types hold where a document says nothing or null: templates see types, not JSON.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json_fwd.hpp>

namespace engine {

enum class AbsentKind { kText, kFalse, kZero, kPointer, kList, kMap };

// Of a field that docker's document of this kind may leave out; nullopt: there is no such field.
std::optional<AbsentKind> find_absent_field(const nlohmann::json& object, const std::string& field);

// What {{.Field}} gives: "", false, 0, or null for what is nil.
nlohmann::json absent_value(AbsentKind kind);

// How Go's fmt prints what is null in JSON.
std::string absent_text(AbsentKind kind);

}  // namespace engine
