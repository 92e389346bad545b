// PullEvents: the JSON lines of sampan-pull, decoded.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"
#include "engine/engine.h"

namespace engine {

class PullEvents {
 public:
  explicit PullEvents(std::function<void(const PullProgress&)> on_progress)
      : on_progress_(std::move(on_progress)) {}

  void take(std::string_view line);

  // The result; throws the error that the helper told, or kSystem where it said nothing.
  PullSummary finish(int exit_code) const;

 private:
  std::function<void(const PullProgress&)> on_progress_;
  std::optional<PullSummary> result_;
  std::optional<base::Error> error_;
};

}  // namespace engine
