// Lists of containers with as much of each as is asked for.
#pragma once

#include <functional>

#include "engine/engine.h"
#include "storage/container_list.h"

namespace engine {

struct InfoScope {
  bool stopped = true;  // else only those that a monitor has
  // Of those that no monitor has. Without all, their `options` are left at the defaults.
  storage::ContainerTexts texts_of_stopped = storage::ContainerTexts::kAll;
};

// Calls it for each, newest first, until it says false: ten thousand at once would be 20 MB.
void visit_container_infos(Engine& engine, const InfoScope& scope,
                           const std::function<bool(const ContainerInfo&)>& visit);

}  // namespace engine
