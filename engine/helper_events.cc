#include "engine/helper_events.h"

#include <array>
#include <utility>

#include <nlohmann/json.hpp>

namespace engine {
namespace {

using Json = nlohmann::json;

base::ErrorKind kind_of(const std::string& word) {
  static const std::array<std::pair<const char*, base::ErrorKind>, 9> kWords = {{
      {"not_found", base::ErrorKind::kNotFound},
      {"unauthorized", base::ErrorKind::kUnauthorized},
      {"unavailable", base::ErrorKind::kUnavailable},
      {"corrupt", base::ErrorKind::kCorrupt},
      {"no_space", base::ErrorKind::kNoSpace},
      {"invalid", base::ErrorKind::kInvalid},
      {"conflict", base::ErrorKind::kConflict},
      {"unsupported", base::ErrorKind::kUnsupported},
      {"system", base::ErrorKind::kSystem},
  }};
  for (const auto& [name, kind] : kWords) {
    if (word == name) return kind;
  }
  return base::ErrorKind::kSystem;
}

std::string text_of(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

std::uint64_t number_of(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_number_unsigned() ? it->get<std::uint64_t>() : 0;
}

bool flag_of(const Json& json, const char* key) {
  const auto it = json.find(key);
  return it != json.end() && it->is_boolean() && it->get<bool>();
}

}  // namespace

void HelperEvents::take(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return;
  const std::string event = text_of(json, "event");
  if (event == "result") {
    result_ = line;
  } else if (event == "error") {
    error_.emplace(kind_of(text_of(json, "kind")), text_of(json, "message"));
  } else if (on_progress_) {
    on_progress_({.kind = event,
                  .layer = text_of(json, "layer"),
                  .text = text_of(json, "text"),
                  .current = number_of(json, "current"),
                  .total = number_of(json, "total")});
  }
}

Json HelperEvents::finish(int exit_code) const {
  if (error_) throw base::Error(*error_);
  if (!result_.empty() && exit_code == 0) return Json::parse(result_);
  throw base::Error(base::ErrorKind::kSystem, "sampan-image ended without a result (exit code " +
                                                  std::to_string(exit_code) + ")");
}

PullSummary to_pull_summary(const Json& result) {
  return {.image_id = text_of(result, "image"),
          .digest = text_of(result, "digest"),
          .warning = text_of(result, "warning"),
          .changed = flag_of(result, "changed")};
}

}  // namespace engine
