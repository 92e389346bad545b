#include "oci/json.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "oci/json_value.h"

namespace oci {
namespace {

using nlohmann::json;

// Builds the tree from the library's events, so that depth and repeated keys are looked at before
// anything is built from them.
class Builder {
 public:
  Builder(std::string_view text, const JsonLimits& limits) : text_(text), limits_(limits) {}

  json take() { return std::move(root_); }
  const std::string& failure() const { return failure_; }

  bool null() { return add(nullptr); }
  bool boolean(bool value) { return add(value); }
  bool number_integer(json::number_integer_t value) { return add(value); }
  bool number_unsigned(json::number_unsigned_t value) { return add(value); }
  bool number_float(json::number_float_t value, const std::string&) { return add(value); }
  bool binary(json::binary_t&) { return fail("binary value"); }

  bool string(std::string& value) {
    // Every string of ours may become a C string: one that ends early would be another string.
    if (value.find('\0') != std::string::npos) return fail("NUL character in a string");
    return add(std::move(value));
  }

  bool key(std::string& name) {
    if (name.find('\0') != std::string::npos) return fail("NUL character in a key");
    auto& object = open_.back()->get_ref<json::object_t&>();
    const auto [place, is_new] = object.try_emplace(std::move(name));
    member_ = &place->second;
    return is_new || fail("repeated key \"" + base::printable(place->first) + '"');
  }

  bool start_object(std::size_t) { return open(json::value_t::object); }
  bool start_array(std::size_t) { return open(json::value_t::array); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool parse_error(std::size_t position, const std::string&, const json::exception& error) {
    const std::string_view before = text_.substr(0, position == 0 ? 0 : position - 1);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;
    failure_ = "line " + std::to_string(line) + ", column " + std::to_string(column) + ": " +
               reason_of(error);
    return false;
  }

 private:
  // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error while …"
  static std::string reason_of(const json::exception& error) {
    std::string_view text = error.what();
    if (const auto at = text.find("] "); at != std::string_view::npos) text.remove_prefix(at + 2);
    if (text.starts_with("parse error")) {
      if (const auto at = text.find(": "); at != std::string_view::npos) text.remove_prefix(at + 2);
    }
    return base::printable(text, 300);
  }

  template <class Value>
  bool add(Value&& value) {
    if (count_ == limits_.values) return fail_count();
    place(json(std::forward<Value>(value)));
    return true;
  }

  json* place(json&& value) {
    ++count_;
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    if (open_.back()->is_array()) {
      auto& array = open_.back()->get_ref<json::array_t&>();
      array.push_back(std::move(value));
      return &array.back();
    }
    *member_ = std::move(value);
    return member_;
  }

  bool open(json::value_t type) {
    if (open_.size() == static_cast<std::size_t>(limits_.depth)) {
      return fail("nested deeper than " + std::to_string(limits_.depth) + " levels");
    }
    if (count_ == limits_.values) return fail_count();
    open_.push_back(place(json(type)));
    return true;
  }

  bool fail_count() { return fail("more than " + std::to_string(limits_.values) + " values"); }

  bool close() {
    open_.pop_back();
    return true;
  }

  bool fail(const std::string& reason) {
    const std::string where = open_.empty() ? "" : json_path_of(root_, *open_.back());
    failure_ = where.empty() ? reason : where + ": " + reason;
    return false;
  }

  std::string_view text_;
  const JsonLimits& limits_;
  json root_;
  std::size_t count_ = 0;
  std::vector<json*> open_;
  json* member_ = nullptr;  // where the next value of the innermost object goes
  std::string failure_;
};

}  // namespace

nlohmann::json parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.bytes) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "JSON larger than " + std::to_string(limits.bytes) + " bytes");
  }
  Builder builder(text, limits);
  if (!json::sax_parse(text.data(), text.data() + text.size(), &builder)) {
    throw base::Error(base::ErrorKind::kInvalid, "invalid JSON: " + builder.failure());
  }
  return builder.take();
}

}  // namespace oci
