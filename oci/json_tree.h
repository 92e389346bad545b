// JsonTree: a JSON text, checked, as one flat list of values that refer into it; json.h and
// json_value.h stand on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "oci/json.h"

namespace oci {

// What lies below a value follows it in the list, which makes the next sibling `this + extent`.
struct JsonNode {
  enum class Type : std::uint8_t {
    kNull,
    kBoolean,
    kUnsigned,
    kNegative,  // written with a minus sign: "-0" too
    kDouble,
    kString,
    kArray,
    kObject
  };

  std::string_view key;      // of a member of an object
  std::string_view text;     // kString
  std::uint64_t bits = 0;    // what a boolean or number is made of
  std::uint32_t extent = 1;  // how many nodes of the list are this value: itself and all below it
  Type type = Type::kNull;

  bool contains(const JsonNode& node) const {
    return &node >= this && static_cast<std::size_t>(&node - this) < extent;
  }
};

// The elements or members of an array or object, in the order of the text.
class JsonChildren {
 public:
  class Iterator {
   public:
    explicit Iterator(const JsonNode* at) : at_(at) {}
    const JsonNode& operator*() const { return *at_; }
    Iterator& operator++() {
      at_ += at_->extent;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    const JsonNode* at_;
  };

  explicit JsonChildren(const JsonNode& parent) : parent_(parent) {}
  Iterator begin() const { return Iterator(&parent_ + 1); }
  Iterator end() const { return Iterator(&parent_ + parent_.extent); }

 private:
  const JsonNode& parent_;
};

// "linux.mounts[3].source": where `node` is below `root`, which contains it.
std::string json_path_of(const JsonNode& root, const JsonNode& node);

class JsonTree {
 public:
  // Throws as parse_json does.
  JsonTree(std::string_view text, const JsonLimits& limits);
  JsonTree(const JsonTree&) = delete;
  JsonTree& operator=(const JsonTree&) = delete;

  const JsonNode& root() const { return nodes_.front(); }

 private:
  std::string text_;  // strings are unescaped in place
  std::vector<JsonNode> nodes_;
};

}  // namespace oci
