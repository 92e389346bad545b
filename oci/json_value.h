// JsonValue: one place in a parsed JSON text, read with strict types; every error names the place.
#pragma once

#include <concepts>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "oci/json.h"

namespace oci {

struct JsonNode;
class JsonTree;

// Refers into a JsonDocument, which must outlive it. Absent members and null are the same thing:
// Go's encoding/json, which writes and reads these files elsewhere, does not tell them apart.
class JsonValue {
 public:
  bool exists() const;
  bool is_string() const;
  bool is_array() const;
  bool is_empty() const;  // does not exist, or an array or object that holds nothing

  // A member of this object; what does not exist has no members. Throws where this is no object.
  JsonValue operator[](std::string_view key) const;
  bool contains(std::string_view key) const;  // null counts

  // The elements or members in the order of the array or of the keys; none where it does not exist.
  std::vector<JsonValue> elements() const;
  std::vector<std::pair<std::string, JsonValue>> members() const;

  // The value itself. Throws kInvalid where it does not exist or has another type or range.
  std::string string() const;
  bool boolean() const;
  template <std::integral T>
  T integer() const {
    if constexpr (std::is_signed_v<T>) {
      return static_cast<T>(
          signed_integer(std::numeric_limits<T>::min(), std::numeric_limits<T>::max()));
    } else {
      return static_cast<T>(unsigned_integer(std::numeric_limits<T>::max()));
    }
  }

  // Into `out`, which is left alone where the value does not exist.
  void read(std::string& out) const;
  void read(bool& out) const;
  void read(std::vector<std::string>& out) const;
  void read(std::map<std::string, std::string>& out) const;  // null values are empty
  template <std::integral T>
  void read(T& out) const {
    if (exists()) out = integer<T>();
  }
  template <class T>
  void read(std::optional<T>& out) const {
    if (exists()) read(out.emplace());
  }
  template <std::integral T>
  void read(std::vector<T>& out) const {
    for (const JsonValue& element : elements()) out.push_back(element.integer<T>());
  }

  std::string path() const;
  // Throws kInvalid with "<path>: <reason>".
  [[noreturn]] void fail(std::string_view reason) const;

 private:
  friend class JsonDocument;
  JsonValue(const JsonNode& root, const JsonNode* node, const JsonNode* parent, std::string key)
      : root_(&root), node_(node), parent_(parent), key_(std::move(key)) {}
  std::int64_t signed_integer(std::int64_t lowest, std::int64_t highest) const;
  std::uint64_t unsigned_integer(std::uint64_t highest) const;
  [[noreturn]] void fail_type(std::string_view wanted) const;

  const JsonNode* root_;
  const JsonNode* node_;    // null: absent
  const JsonNode* parent_;  // of an absent value: the nearest place above it that is there
  std::string key_;         // of an absent value: the way to it from there
};

class JsonDocument {
 public:
  // Throws as parse_json does.
  explicit JsonDocument(std::string_view text, const JsonLimits& limits = {});
  ~JsonDocument();
  JsonValue root() const;

 private:
  std::unique_ptr<const JsonTree> tree_;
};

}  // namespace oci
