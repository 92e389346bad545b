// Events: what happened to containers, images, volumes and networks of a store, as it happens.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "storage/store.h"

namespace engine {

// "kill", "exec_start: sh" and whatever else is no change of its row. Attributes are the
// container's labels, name and image, and `more`. A store that can't take it (no space) loses the
// event, never the deed.
void add_container_event(
    storage::Store& store, const storage::ContainerRow& row, std::string_view action,
    const std::vector<std::pair<std::string, std::string>>& more = {}) noexcept;

// Follows the table of events without a daemon: whoever writes to the store changes its write-ahead
// log, which inotify(7) tells.
class EventStream {
 public:
  // From `since` on; 0: only what comes from now on.
  EventStream(storage::Store& store, base::Nanoseconds since);

  // What is there and was not given yet; oldest first.
  std::vector<storage::Event> take();

  // Returns when something may have been added, or after `milliseconds` (-1: never).
  void wait(int milliseconds);

 private:
  storage::Store& store_;
  base::UniqueFd watch_;
  int looks_ = 0;  // that are due after a change
  base::Nanoseconds since_;
  std::int64_t last_ = 0;
};

}  // namespace engine
