// Pull command: an image into the store by sampan-image.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/engine.h"

namespace engine {

enum class PullWhen {
  kAlways,
  kMissing,  // only where the store has none of what a short name may stand for
  kNever,    // what the store has of that, or kNotFound
};

PullSummary pull_image(const Config& config, std::string_view reference, std::string_view platform,
                       PullWhen when, const std::function<void(const PullProgress&)>& on_progress);

}  // namespace engine
