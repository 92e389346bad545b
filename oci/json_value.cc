#include "oci/json_value.h"

#include <algorithm>

#include "base/error.h"
#include "oci/json_tree.h"

namespace oci {
namespace {

using Type = JsonNode::Type;

std::string_view name_of(Type type) {
  switch (type) {
    case Type::kNull:
      return "null";
    case Type::kBoolean:
      return "boolean";
    case Type::kUnsigned:
    case Type::kNegative:
    case Type::kDouble:
      return "number";
    case Type::kString:
      return "string";
    case Type::kArray:
      return "array";
    case Type::kObject:
      break;
  }
  return "object";
}

bool is_integer(const JsonNode* node) {
  return node != nullptr && (node->type == Type::kUnsigned || node->type == Type::kNegative);
}

std::string digits_of(const JsonNode& node) {
  return node.type == Type::kUnsigned ? std::to_string(node.bits)
                                      : std::to_string(static_cast<std::int64_t>(node.bits));
}

}  // namespace

bool JsonValue::exists() const { return node_ != nullptr && node_->type != Type::kNull; }
bool JsonValue::is_string() const { return node_ != nullptr && node_->type == Type::kString; }
bool JsonValue::is_array() const { return node_ != nullptr && node_->type == Type::kArray; }

bool JsonValue::is_empty() const {
  return !exists() ||
         ((node_->type == Type::kArray || node_->type == Type::kObject) && node_->extent == 1);
}

JsonValue JsonValue::operator[](std::string_view key) const {
  if (node_ == nullptr) return {*root_, nullptr, parent_, key_ + "." + std::string(key)};
  if (node_->type != Type::kNull) {
    if (node_->type != Type::kObject) fail_type("an object");
    for (const JsonNode& member : JsonChildren(*node_)) {
      if (member.key == key) return {*root_, &member, nullptr, {}};
    }
  }
  return {*root_, nullptr, node_, std::string(key)};
}

bool JsonValue::contains(std::string_view key) const { return (*this)[key].node_ != nullptr; }

std::vector<JsonValue> JsonValue::elements() const {
  std::vector<JsonValue> list;
  if (!exists()) return list;
  if (!is_array()) fail_type("an array");
  for (const JsonNode& element : JsonChildren(*node_)) {
    list.push_back(JsonValue(*root_, &element, nullptr, {}));
  }
  return list;
}

std::vector<std::pair<std::string, JsonValue>> JsonValue::members() const {
  std::vector<std::pair<std::string, JsonValue>> list;
  if (!exists()) return list;
  if (node_->type != Type::kObject) fail_type("an object");
  for (const JsonNode& member : JsonChildren(*node_)) {
    list.emplace_back(member.key, JsonValue(*root_, &member, nullptr, {}));
  }
  std::sort(list.begin(), list.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return list;
}

std::string JsonValue::string() const {
  if (!is_string()) fail_type("a string");
  return std::string(node_->text);
}

bool JsonValue::boolean() const {
  if (node_ == nullptr || node_->type != Type::kBoolean) fail_type("true or false");
  return node_->bits != 0;
}

std::int64_t JsonValue::signed_integer(std::int64_t lowest, std::int64_t highest) const {
  if (!is_integer(node_)) fail_type("an integer");
  const auto value = static_cast<std::int64_t>(node_->bits);
  const bool fits = node_->type == Type::kUnsigned
                        ? node_->bits <= static_cast<std::uint64_t>(highest)
                        : value >= lowest;
  if (!fits) fail(digits_of(*node_) + " is out of range");
  return value;
}

std::uint64_t JsonValue::unsigned_integer(std::uint64_t highest) const {
  if (!is_integer(node_)) fail_type("an integer");
  if (node_->type == Type::kNegative) fail(digits_of(*node_) + " is negative");
  if (node_->bits > highest) fail(digits_of(*node_) + " is out of range");
  return node_->bits;
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
  out.reserve(out.size() + node_->extent - 1);
  for (const JsonNode& element : JsonChildren(*node_)) {
    if (element.type != Type::kString) {
      JsonValue(*root_, &element, nullptr, {}).fail_type("a string");
    }
    out.emplace_back(element.text);
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
  fail("must be " + std::string(wanted) + ", not " + std::string(name_of(node_->type)));
}

JsonDocument::JsonDocument(std::string_view text, const JsonLimits& limits)
    : tree_(std::make_unique<const JsonTree>(text, limits)) {}

JsonDocument::~JsonDocument() = default;

JsonValue JsonDocument::root() const { return {tree_->root(), &tree_->root(), nullptr, {}}; }

}  // namespace oci
