#include "cli/filters.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/filter_keys.h"
#include "oci/json_tree.h"

namespace cli {

Filters::Filters(const std::string& command, const std::vector<std::string>& texts) {
  const std::span<const FilterKey> known = filter_keys(command);
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos) {
      throw UsageError("invalid argument \"" + text +
                           "\" for \"-f, --filter\" flag: bad format of filter (expected "
                           "name=value)\nSee 'sampan " +
                           command + " --help'.",
                       kEngineFailed);
    }
    const std::string key = text.substr(0, equals);
    if (std::none_of(known.begin(), known.end(),
                     [&](const FilterKey& each) { return each.name == key; })) {
      throw base::Error(base::ErrorKind::kInvalid, "invalid filter '" + key + "'");
    }
    all_.emplace_back(key, text.substr(equals + 1));
  }
}

bool Filters::has(std::string_view key) const {
  return std::any_of(all_.begin(), all_.end(), [&](const auto& item) { return item.first == key; });
}

std::vector<std::string> Filters::values(std::string_view key) const {
  std::vector<std::string> found;
  for (const auto& [name, value] : all_) {
    if (name == key) found.push_back(value);
  }
  return found;
}

bool Filters::match(const Test& fits) const {
  std::map<std::string, bool> by_key;
  for (const auto& [key, value] : all_) {
    const bool holds = fits(key, value);
    if (key == "label" && !holds) return false;
    by_key[key] = by_key[key] || holds;
  }
  return std::all_of(by_key.begin(), by_key.end(), [](const auto& entry) { return entry.second; });
}

Expression::Expression(std::string wanted) : wanted_(std::move(wanted)) {
  try {
    expression_.emplace(wanted_);
  } catch (const std::regex_error&) {  // then only the text itself matches
  }
}

bool Expression::matches(const std::string& text) const {
  return text == wanted_ || (expression_ && std::regex_search(text, *expression_));
}

bool matches_expression(const std::string& text, const std::string& wanted) {
  return text == wanted || Expression(wanted).matches(text);
}

bool matches_label_text(const std::string& labels_json, const std::string& wanted) {
  if (labels_json.empty() || labels_json == "{}") return false;
  const std::string_view text = wanted;
  const std::size_t equals = text.find('=');
  try {
    const oci::JsonTree labels(labels_json, {});
    if (labels.root().type != oci::JsonNode::Type::kObject) return false;
    for (const oci::JsonNode& label : oci::JsonChildren(labels.root())) {
      if (label.key != text.substr(0, equals)) continue;
      return equals == std::string_view::npos ||
             (label.type == oci::JsonNode::Type::kString && label.text == text.substr(equals + 1));
    }
  } catch (const base::Error&) {  // no JSON, so no labels
  }
  return false;
}

}  // namespace cli
