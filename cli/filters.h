// Filters: docker's --filter in one place: what may be asked for, and how several of them combine.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <regex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cli {

// "key=value" texts, taken apart. Values of one key are alternatives, different keys must all hold
// (docker's rules); labels must all hold.
class Filters {
 public:
  // Throws docker's words for a text without "=" and for a key that the command does not know
  // (filter_keys.h).
  Filters(const std::string& command, const std::vector<std::string>& texts);

  bool has(std::string_view key) const;
  std::vector<std::string> values(std::string_view key) const;
  const std::vector<std::pair<std::string, std::string>>& all() const { return all_; }

  // Whether a thing fits, which `fits` says for one key and value.
  using Test = std::function<bool(const std::string& key, const std::string& value)>;
  bool match(const Test& fits) const;

 private:
  std::vector<std::pair<std::string, std::string>> all_;
};

// docker's match of a name or an id: the same text, or a regular expression found in it. What is no
// expression fits nothing.
class Expression {
 public:
  explicit Expression(std::string wanted);
  bool matches(const std::string& text) const;

 private:
  std::string wanted_;
  std::optional<std::regex> expression_;
};
bool matches_expression(const std::string& text, const std::string& wanted);

// "name" or "name=value" against labels as a JSON object.
bool matches_label_text(const std::string& labels_json, const std::string& wanted);

}  // namespace cli
