// HelperEvents: the JSON lines of sampan-image, decoded.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "base/error.h"
#include "engine/engine.h"

namespace engine {

class HelperEvents {
 public:
  explicit HelperEvents(std::function<void(const PullProgress&)> on_progress)
      : on_progress_(std::move(on_progress)) {}

  void take(std::string_view line);

  // The fields of the "result" line; throws the error that the helper told, or kSystem where it
  // said nothing.
  nlohmann::json finish(int exit_code) const;

 private:
  std::function<void(const PullProgress&)> on_progress_;
  std::string result_;
  std::optional<base::Error> error_;
};

PullSummary to_pull_summary(const nlohmann::json& result);

}  // namespace engine
