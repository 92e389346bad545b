// What `ps` shows of a container: one row of docker's field names, and docker's filters.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/time.h"
#include "cli/filters.h"
#include "engine/engine.h"
#include "storage/container_list.h"

namespace cli {

enum class Truncation { kShort, kFull };

// `wants`: which fields are of any use; empty: all are.
nlohmann::json container_row(const engine::ContainerInfo& info, base::Nanoseconds now,
                             Truncation truncation,
                             const std::function<bool(const std::string&)>& wants = {});

std::string container_state(const engine::ContainerInfo& info);  // "running", "exited"
std::string container_status(const engine::ContainerInfo& info,
                             base::Nanoseconds now);             // "Up 5 seconds"
std::string published_ports(const engine::ContainerInfo& info);  // "0.0.0.0:8080->80/tcp"

// KEY=VALUE as docker's --filter. Throws kInvalid for a key that `ps` does not know.
class ContainerFilters {
 public:
  explicit ContainerFilters(const std::vector<std::string>& filters);
  // Filters on status show stopped containers without -a.
  bool wants_stopped() const;
  // What of a stopped container has to be read.
  storage::ContainerTexts wanted_texts() const;
  // Looks up whom `before` and `since` name. Throws kNotFound.
  void find_pivots(storage::Store& store);
  bool match(const engine::ContainerInfo& info) const;

 private:
  bool fits(const engine::ContainerInfo& info, const std::string& key,
            const std::string& value) const;
  Filters filters_;
  std::map<std::string, Expression> names_;
  std::vector<storage::ContainerRow> before_, since_;
};

}  // namespace cli
