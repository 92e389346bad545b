#include "engine/events.h"

#include <algorithm>
#include <cerrno>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace engine {
namespace {

constexpr int kLookAnyway = 2'000;  // milliseconds; should a file system not tell
constexpr int kLookAgain = 20;      // milliseconds
constexpr int kLooks = 3;

base::UniqueFd watch_store(const storage::Store& store) {
  base::UniqueFd watch(base::check(inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1"));
  const std::string log = (store.root() / "sampan.db-wal").string();
  inotify_add_watch(watch.get(), log.c_str(), IN_MODIFY);
  // The log itself goes when the last who has the store open leaves, and is made anew.
  inotify_add_watch(watch.get(), store.root().c_str(), IN_CREATE | IN_MOVED_TO);
  return watch;
}

}  // namespace

void add_container_event(storage::Store& store, const storage::ContainerRow& row,
                         std::string_view action,
                         const std::vector<std::pair<std::string, std::string>>& more) noexcept {
  using Json = nlohmann::json;
  try {
    Json attributes = Json::parse(row.labels, nullptr, /*allow_exceptions=*/false);
    if (!attributes.is_object()) attributes = Json::object();
    for (const auto& [name, value] : more) attributes[name] = value;
    attributes["image"] = row.image_name;
    attributes["name"] = row.name;
    store.add_event("container", action, row.id,
                    attributes.dump(-1, ' ', false, Json::error_handler_t::replace));
  } catch (const std::exception&) {
    return;
  }
}

EventStream::EventStream(storage::Store& store, base::Nanoseconds since)
    : store_(store), watch_(watch_store(store)), since_(since) {
  if (since != 0) return;
  const auto known = store.list_events(0, base::now() - 1);
  if (!known.empty()) {
    last_ = known.back().id;
    return;
  }
  since_ = base::now();
}

std::vector<storage::Event> EventStream::take() {
  std::vector<storage::Event> events = store_.list_events(last_, since_);
  if (!events.empty()) {
    last_ = events.back().id;
    since_ = 0;  // from here on their numbers say enough, whatever happens to the clock
  }
  return events;
}

void EventStream::wait(int milliseconds) {
  // A commit is written before it can be seen (SQLite's WAL-index comes after the log): who was
  // woken by it looks some more times.
  const int longest = looks_ > 0 ? kLookAgain : kLookAnyway;
  const bool bounded = milliseconds >= 0 && milliseconds < longest;
  pollfd item = {.fd = watch_.get(), .events = POLLIN, .revents = 0};
  const int ready = poll(&item, 1, bounded ? milliseconds : longest);
  if (ready < 0 && errno != EINTR) base::throw_errno("poll");
  looks_ = ready > 0 ? kLooks : std::max(0, looks_ - 1);
  char buffer[4096];
  bool made_anew = false;
  for (ssize_t count = 0; (count = read(watch_.get(), buffer, sizeof buffer)) > 0;) {
    for (char* at = buffer; at < buffer + count;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      made_anew = made_anew || (event->mask & (IN_CREATE | IN_IGNORED)) != 0;
      at += sizeof(inotify_event) + event->len;
    }
  }
  if (made_anew) {
    const std::string log = (store_.root() / "sampan.db-wal").string();
    inotify_add_watch(watch_.get(), log.c_str(), IN_MODIFY);
  }
}

}  // namespace engine
