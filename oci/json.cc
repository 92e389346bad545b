#include "oci/json.h"

#include <bit>
#include <string>

#include <nlohmann/json.hpp>

#include "oci/json_tree.h"

namespace oci {
namespace {

using nlohmann::json;

// The depth is JsonLimits'.
json to_library(const JsonNode& node) {
  switch (node.type) {
    case JsonNode::Type::kNull:
      return nullptr;
    case JsonNode::Type::kBoolean:
      return node.bits != 0;
    case JsonNode::Type::kUnsigned:
      return node.bits;
    case JsonNode::Type::kNegative:
      return static_cast<std::int64_t>(node.bits);
    case JsonNode::Type::kDouble:
      return std::bit_cast<double>(node.bits);
    case JsonNode::Type::kString:
      return node.text;
    case JsonNode::Type::kArray: {
      json array = json::array();
      for (const JsonNode& element : JsonChildren(node)) array.push_back(to_library(element));
      return array;
    }
    case JsonNode::Type::kObject:
      break;
  }
  json object = json::object();
  for (const JsonNode& member : JsonChildren(node)) {
    object.emplace(member.key, to_library(member));
  }
  return object;
}

}  // namespace

json parse_json(std::string_view text, const JsonLimits& limits) {
  return to_library(JsonTree(text, limits).root());
}

}  // namespace oci
