#include "oci/json_tree.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

// The library looks at 16 characters at once where it may read beyond the end of a text, within
// 16 aligned bytes. Sanitizers don't let it.
#ifdef __has_feature
#define SAMPAN_HAS_FEATURE(name) __has_feature(name)
#else
#define SAMPAN_HAS_FEATURE(name) 0
#endif
#if defined(__SSE2__) && !defined(__SANITIZE_ADDRESS__) && !SAMPAN_HAS_FEATURE(address_sanitizer)
#define RAPIDJSON_SSE2
#endif
#include <rapidjson/error/en.h>
#include <rapidjson/memorystream.h>
#include <rapidjson/reader.h>

#include "base/error.h"
#include "base/text.h"

namespace oci {
namespace {

using Type = JsonNode::Type;

// What is appended to below: its end is not known yet.
constexpr std::uint32_t kOpen = std::numeric_limits<std::uint32_t>::max();

struct Discard {
  void Put(char /*c*/) {}
};

// ASCII without an escape: whatever strings it holds are UTF-8 without NUL.
bool is_plain(std::string_view text) {
  constexpr std::uint64_t kHighBits = 0x8080808080808080;
  std::uint64_t all = 0;
  std::uint64_t word = 0;
  std::size_t at = 0;
  for (; at + sizeof word <= text.size(); at += sizeof word) {
    std::memcpy(&word, text.data() + at, sizeof word);
    all |= word;
  }
  word = 0;
  std::memcpy(&word, text.data() + at, text.size() - at);
  return ((all | word) & kHighBits) == 0 && text.find('\\') == std::string_view::npos;
}

bool is_utf8(std::string_view text) {
  rapidjson::MemoryStream source(text.data(), text.size());
  Discard nowhere;
  while (source.Tell() < text.size()) {
    if (!rapidjson::UTF8<>::Validate(source, nowhere)) return false;
  }
  return source.Tell() == text.size();  // more: the last character is cut off
}

template <class Number>
bool read_all(std::string_view digits, Number& number) {
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, number);
  return error == std::errc() && rest == end;
}

// The first key that another member has too, or null.
const std::string_view* find_repeated(std::vector<std::string_view>& keys) {
  constexpr std::size_t kFew = 12;  // where comparing all with all is faster than sorting
  if (keys.size() <= kFew) {
    for (std::size_t i = 1; i < keys.size(); ++i) {
      for (std::size_t k = 0; k < i; ++k) {
        if (keys[i] == keys[k]) return &keys[i];
      }
    }
    return nullptr;
  }
  std::sort(keys.begin(), keys.end());
  const auto at = std::adjacent_find(keys.begin(), keys.end());
  return at == keys.end() ? nullptr : &*at;
}

// Takes the library's events, whose names it chooses. Depth and number of values are looked at
// before anything is added to the list.
class Builder : public rapidjson::BaseReaderHandler<rapidjson::UTF8<>, Builder> {
 public:
  enum class Strings { kPlain, kToBeChecked };
  Builder(std::vector<JsonNode>& nodes, const JsonLimits& limits, Strings strings)
      : nodes_(nodes), limits_(limits), strings_(strings) {}

  const std::string& failure() const { return failure_; }
  bool is_malformed() const { return is_malformed_; }

  bool Null() { return add(Type::kNull, 0); }
  bool Bool(bool value) { return add(Type::kBoolean, value ? 1 : 0); }

  // Not by the library: its exact conversion of 10e308 is another number (1.1.0).
  bool RawNumber(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    const std::string_view digits(text, size);
    if (digits.find_first_of(".eE") == std::string_view::npos) {
      std::uint64_t positive = 0;
      std::int64_t negative = 0;
      if (read_all(digits, positive)) return add(Type::kUnsigned, positive);
      if (read_all(digits, negative)) {
        return add(Type::kNegative, static_cast<std::uint64_t>(negative));
      }
    }
    const double value = std::strtod(text, nullptr);  // ends where the number does
    if (std::isinf(value)) return fail_malformed("a number is too large");
    return add(Type::kDouble, std::bit_cast<std::uint64_t>(value));
  }

  bool String(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    if (!is_good({text, size}, Role::kString) || !add(Type::kString, 0)) return false;
    nodes_.back().text = {text, size};
    return true;
  }

  bool Key(const char* text, rapidjson::SizeType size, bool /*copy*/) {
    key_ = {text, size};
    return is_good(key_, Role::kKey);
  }

  bool StartObject() { return open(Type::kObject); }
  bool StartArray() { return open(Type::kArray); }

  bool EndObject(rapidjson::SizeType /*count*/) {
    close();
    keys_.clear();
    for (const JsonNode& member : JsonChildren(nodes_[open_.back()])) keys_.push_back(member.key);
    if (const std::string_view* key = find_repeated(keys_)) {
      return fail("repeated key \"" + base::printable(*key) + '"');
    }
    open_.pop_back();
    return true;
  }

  bool EndArray(rapidjson::SizeType /*count*/) {
    close();
    open_.pop_back();
    return true;
  }

 private:
  enum class Role { kKey, kString };

  bool is_good(std::string_view text, Role role) {
    return strings_ == Strings::kPlain || check_string(text, role);
  }

  bool check_string(std::string_view text, Role role) {
    // Every string of ours may become a C string: one that ends early would be another string.
    if (text.find('\0') != std::string_view::npos) {
      return fail(role == Role::kKey ? "NUL character in a key" : "NUL character in a string");
    }
    // Escapes can make what is no UTF-8 too: half of a surrogate pair.
    return is_utf8(text) || fail_malformed("a string is not UTF-8");
  }

  bool fail_malformed(std::string_view reason) {
    is_malformed_ = true;
    failure_ = reason;
    return false;
  }

  bool add(Type type, std::uint64_t bits) {
    if (nodes_.size() == limits_.values) {
      return fail("more than " + std::to_string(limits_.values) + " values");
    }
    nodes_.push_back({.key = key_, .text = {}, .bits = bits, .extent = 1, .type = type});
    key_ = {};
    return true;
  }

  bool open(Type type) {
    if (open_.size() == static_cast<std::size_t>(limits_.depth)) {
      return fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
    }
    const auto place = static_cast<std::uint32_t>(nodes_.size());
    if (!add(type, 0)) return false;
    nodes_.back().extent = kOpen;
    open_.push_back(place);
    return true;
  }

  void close() {
    const std::uint32_t place = open_.back();
    nodes_[place].extent = static_cast<std::uint32_t>(nodes_.size()) - place;
  }

  bool fail(const std::string& reason) {
    const std::string where =
        open_.empty() ? "" : json_path_of(nodes_.front(), nodes_[open_.back()]);
    failure_ = where.empty() ? reason : where + ": " + reason;
    return false;
  }

  std::vector<JsonNode>& nodes_;
  const JsonLimits& limits_;
  const Strings strings_;
  std::vector<std::uint32_t> open_;     // places in nodes_
  std::vector<std::string_view> keys_;  // of the object that ends
  std::string_view key_;                // of the next value
  bool is_malformed_ = false;           // the text is no JSON, where the library has not seen it
  std::string failure_;
};

[[noreturn]] void throw_invalid(const std::string& reason) {
  throw base::Error(base::ErrorKind::kInvalid, "invalid JSON: " + reason);
}

// `text` is what was given: not the one that has been unescaped in place.
[[noreturn]] void throw_malformed(std::string_view text, std::size_t position,
                                  std::string_view reason) {
  const std::string_view before = text.substr(0, position);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;
  throw_invalid("line " + std::to_string(line) + ", column " + std::to_string(column) + ": " +
                std::string(reason));
}

std::string_view without_byte_order_mark(std::string_view text) {
  return text.starts_with("\xEF\xBB\xBF") ? text.substr(3) : text;
}

}  // namespace

std::string json_path_of(const JsonNode& root, const JsonNode& node) {
  std::string path;
  for (const JsonNode* at = &root; at != &node;) {
    const JsonNode* child = at + 1;
    std::size_t index = 0;
    for (; !child->contains(node); child += child->extent) ++index;
    if (at->type == Type::kObject) {
      path += (path.empty() ? "" : ".") + base::printable(child->key, 80);
    } else {
      path += '[' + std::to_string(index) + ']';
    }
    at = child;
  }
  return path;
}

JsonTree::JsonTree(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "JSON larger than " + std::to_string(limits.bytes) + " bytes");
  }
  text = without_byte_order_mark(text);
  // The library reads C strings.
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    throw_malformed(text, nul, "NUL character");
  }
  text_ = text;
  // A value takes a dozen bytes of a config.json; "[{},{},…" takes a few reallocations.
  nodes_.reserve(std::min(text.size() / 12 + 1, limits.values));
  Builder builder(nodes_, limits,
                  is_plain(text) ? Builder::Strings::kPlain : Builder::Strings::kToBeChecked);
  rapidjson::InsituStringStream stream(text_.data());
  rapidjson::Reader reader;
  constexpr unsigned kFlags = rapidjson::kParseInsituFlag | rapidjson::kParseNumbersAsStringsFlag;
  const rapidjson::ParseResult result = reader.Parse<kFlags>(stream, builder);
  if (!result.IsError()) return;
  if (builder.is_malformed()) throw_malformed(text, result.Offset(), builder.failure());
  if (result.Code() == rapidjson::kParseErrorTermination) throw_invalid(builder.failure());
  throw_malformed(text, result.Offset(), rapidjson::GetParseError_En(result.Code()));
}

}  // namespace oci
