// Lists of containers with as much of each as is asked for.
#pragma once

#include <functional>
#include <vector>

#include "engine/engine.h"

namespace engine {

struct InfoScope {
  bool stopped = true;             // else only those that a monitor has
  bool options_of_stopped = true;  // else their `options` are left at the defaults, unread
};

// Calls it for each, newest first, until it says false: ten thousand at once would be 20 MB.
void visit_container_infos(Engine& engine, const InfoScope& scope,
                           const std::function<bool(const ContainerInfo&)>& visit);

// As Engine::list_containers(), newest first.
std::vector<ContainerInfo> list_container_infos(Engine& engine, const InfoScope& scope);

}  // namespace engine
