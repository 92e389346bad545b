#include "cli/filters.h"

#include <algorithm>
#include <regex>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/filter_keys.h"

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

bool matches_expression(const std::string& text, const std::string& wanted) {
  if (text == wanted) return true;
  try {
    return std::regex_search(text, std::regex(wanted));
  } catch (const std::regex_error&) {
    return false;
  }
}

bool matches_label_text(const std::string& labels_json, const std::string& wanted) {
  const auto labels = nlohmann::json::parse(labels_json, nullptr, /*allow_exceptions=*/false);
  if (!labels.is_object()) return false;
  const std::size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  return found != labels.end() &&
         (equals == std::string::npos || *found == wanted.substr(equals + 1));
}

}  // namespace cli
