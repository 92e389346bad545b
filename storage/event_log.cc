#include "storage/event_log.h"

#include <cstdio>

#include "storage/database.h"
#include "storage/store.h"

namespace storage {
namespace {

constexpr int kPruneEvery = 256;  // so that deleting costs a start nothing

void append_quoted(std::string& json, std::string_view text) {
  json += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      json += escape;
    } else {
      json += c;
    }
  }
  json += '"';
}

}  // namespace

std::string render_attributes(
    std::initializer_list<std::pair<std::string_view, std::string_view>> attributes) {
  std::string json = "{";
  for (const auto& [key, value] : attributes) {
    if (json.size() > 1) json += ',';
    append_quoted(json, key);
    json += ':';
    append_quoted(json, value);
  }
  return json + "}";
}

void log_event(Database& database, std::string_view type, std::string_view action,
               std::string_view actor, std::string_view attributes) {
  Statement insert = database.prepare("INSERT INTO events VALUES(NULL,?,?,?,?,?)RETURNING id");
  insert.bind_all(base::now(), type, action, actor, attributes);
  insert.step();
  const std::int64_t id = insert.integer(0);
  insert.run();
  if (id % kPruneEvery != 0) return;
  database.prepare("DELETE FROM events WHERE id<=?").bind(id - kEventsKept).run();
}

void Store::add_event(std::string_view type, std::string_view action, std::string_view actor,
                      std::string_view attributes) {
  Transaction transaction(*database_);
  log_event(*database_, type, action, actor, attributes);
  transaction.commit();
}

std::vector<Event> Store::list_events(std::int64_t after_id, base::Nanoseconds since) {
  Statement query = database_->prepare(
      "SELECT id,time,type,action,actor,attributes FROM events WHERE id>? AND time>=? ORDER BY id");
  query.bind_all(after_id, since);
  std::vector<Event> events;
  while (query.step()) {
    events.push_back({.id = query.integer(0),
                      .time = query.integer(1),
                      .type = query.text(2),
                      .action = query.text(3),
                      .actor = query.text(4),
                      .attributes = query.text(5)});
  }
  return events;
}

}  // namespace storage
