#include "oci/json_value.h"

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"

namespace oci {
namespace {

using nlohmann::json;

// Depth-first for the address of `node`: only errors pay for it. The depth is JsonLimits'.
bool find_path(const json& at, const json& node, std::string& path) {
  if (&at == &node) return true;
  const std::size_t size = path.size();
  if (at.is_object()) {
    for (const auto& [key, member] : at.get_ref<const json::object_t&>()) {
      path += (size == 0 ? "" : ".") + base::printable(key, 80);
      if (find_path(member, node, path)) return true;
      path.resize(size);
    }
  } else if (at.is_array()) {
    const auto& array = at.get_ref<const json::array_t&>();
    for (std::size_t i = 0; i < array.size(); ++i) {
      path += '[' + std::to_string(i) + ']';
      if (find_path(array[i], node, path)) return true;
      path.resize(size);
    }
  }
  return false;
}

}  // namespace

std::string json_path_of(const json& root, const json& node) {
  std::string path;
  find_path(root, node, path);
  return path;
}

bool JsonValue::exists() const { return node_ != nullptr && !node_->is_null(); }
bool JsonValue::is_string() const { return node_ != nullptr && node_->is_string(); }
bool JsonValue::is_array() const { return node_ != nullptr && node_->is_array(); }

bool JsonValue::is_empty() const { return !exists() || (node_->is_structured() && node_->empty()); }

JsonValue JsonValue::operator[](std::string_view key) const {
  if (node_ == nullptr) return {*root_, nullptr, parent_, key_ + "." + std::string(key)};
  if (node_->is_null()) return {*root_, nullptr, node_, std::string(key)};
  if (!node_->is_object()) fail_type("an object");
  const auto& object = node_->get_ref<const json::object_t&>();
  if (const auto member = object.find(key); member != object.end()) {
    return {*root_, &member->second, nullptr, {}};
  }
  return {*root_, nullptr, node_, std::string(key)};
}

bool JsonValue::contains(std::string_view key) const { return (*this)[key].node_ != nullptr; }

std::vector<JsonValue> JsonValue::elements() const {
  std::vector<JsonValue> list;
  if (!exists()) return list;
  if (!node_->is_array()) fail_type("an array");
  list.reserve(node_->size());
  for (const json& element : node_->get_ref<const json::array_t&>()) {
    list.push_back(JsonValue(*root_, &element, nullptr, {}));
  }
  return list;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::members() const {
  std::vector<std::pair<std::string, JsonValue>> list;
  if (!exists()) return list;
  if (!node_->is_object()) fail_type("an object");
  list.reserve(node_->size());
  for (const auto& [key, member] : node_->get_ref<const json::object_t&>()) {
    list.emplace_back(key, JsonValue(*root_, &member, nullptr, {}));
  }
  return list;
}

std::string JsonValue::string() const {
  if (!is_string()) fail_type("a string");
  return node_->get_ref<const std::string&>();
}

bool JsonValue::boolean() const {
  if (node_ == nullptr || !node_->is_boolean()) fail_type("true or false");
  return node_->get<bool>();
}

std::int64_t JsonValue::signed_integer(std::int64_t lowest, std::int64_t highest) const {
  if (node_ == nullptr || !node_->is_number_integer()) fail_type("an integer");
  const bool fits = node_->is_number_unsigned()
                        ? node_->get<std::uint64_t>() <= static_cast<std::uint64_t>(highest)
                        : node_->get<std::int64_t>() >= lowest;
  if (!fits) fail(node_->dump() + " is out of range");
  return node_->get<std::int64_t>();
}

std::uint64_t JsonValue::unsigned_integer(std::uint64_t highest) const {
  if (node_ == nullptr || !node_->is_number_integer()) fail_type("an integer");
  if (!node_->is_number_unsigned()) fail(node_->dump() + " is negative");
  const auto value = node_->get<std::uint64_t>();
  if (value > highest) fail(node_->dump() + " is out of range");
  return value;
}

void JsonValue::read(std::string& out) const {
  if (exists()) out = string();
}

void JsonValue::read(bool& out) const {
  if (exists()) out = boolean();
}

void JsonValue::read(std::vector<std::string>& out) const {
  if (!exists()) return;
  if (!is_array()) fail_type("an array of strings");
  const auto& array = node_->get_ref<const json::array_t&>();
  out.reserve(out.size() + array.size());
  for (const json& element : array) {
    if (!element.is_string()) JsonValue(*root_, &element, nullptr, {}).fail_type("a string");
    out.push_back(element.get_ref<const std::string&>());
  }
}

void JsonValue::read(std::map<std::string, std::string>& out) const {
  for (const auto& [key, value] : members()) out[key] = value.exists() ? value.string() : "";
}

std::string JsonValue::path() const {
  if (node_ != nullptr) return json_path_of(*root_, *node_);
  const std::string above = json_path_of(*root_, *parent_);
  return above + (above.empty() ? "" : ".") + key_;
}

void JsonValue::fail(std::string_view reason) const {
  const std::string where = path();
  throw base::Error(base::ErrorKind::kInvalid,
                    where.empty() ? std::string(reason) : where + ": " + std::string(reason));
}

void JsonValue::fail_type(std::string_view wanted) const {
  if (!exists()) fail("missing");
  fail("must be " + std::string(wanted) + ", not " + node_->type_name());
}

JsonDocument::JsonDocument(std::string_view text, const JsonLimits& limits)
    : json_(std::make_unique<const json>(parse_json(text, limits))) {}

JsonDocument::~JsonDocument() = default;

JsonValue JsonDocument::root() const { return {*json_, json_.get(), nullptr, {}}; }

}  // namespace oci
