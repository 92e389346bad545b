// JsonWriter: compact JSON text, appended in the order in which it is written.
#pragma once

#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace oci {

// The caller opens and closes in pairs. Bytes that are not UTF-8 become U+FFFD, as in Go.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return begin('{'); }
  JsonWriter& end_object() { return end('}'); }
  JsonWriter& begin_array() { return begin('['); }
  JsonWriter& end_array() { return end(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& value(std::string_view text);
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(std::same_as<bool> auto flag) { return raw(flag ? "true" : "false"); }
  JsonWriter& value(std::integral auto number) requires(!std::same_as<decltype(number), bool>) {
    return raw(std::to_string(number));
  }
  template <class T>
  JsonWriter& value(const std::vector<T>& list) {
    begin_array();
    for (const T& element : list) value(element);
    return end_array();
  }
  template <class T>
  JsonWriter& value(const std::map<std::string, T>& members) {
    begin_object();
    for (const auto& [name, member] : members) key(name).value(member);
    return end_object();
  }

  // Members that are written only where they say something.
  template <class T>
  JsonWriter& member(std::string_view name, const std::optional<T>& content) {
    return content ? key(name).value(*content) : *this;
  }
  template <class T>
  JsonWriter& member_unless_empty(std::string_view name, const T& content) {
    return content.empty() ? *this : key(name).value(content);
  }
  JsonWriter& member_if(std::string_view name, bool flag) {
    return flag ? key(name).value(true) : *this;
  }

  std::string take() { return std::move(text_); }
  void reserve(std::size_t bytes) { text_.reserve(bytes); }

 private:
  JsonWriter& begin(char bracket);
  JsonWriter& end(char bracket);
  JsonWriter& raw(std::string_view text);
  void separate();
  void append_string(std::string_view text);

  std::string text_;
};

}  // namespace oci
