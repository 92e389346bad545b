// Janitor: the process that removes things while nobody waits for it.
#pragma once

#include "engine/cache_budget.h"
#include "engine/engine.h"

namespace engine {

// As start_janitor() (engine.h); it also keeps the cache within the budget.
void start_janitor_with(const Config& config, const CacheBudget& budget);

}  // namespace engine
