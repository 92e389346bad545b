// Event log: what `events` shows; rows are added inside the transaction of the change they report.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace storage {

class Database;

constexpr int kEventsKept = 10'000;

// A JSON object of texts.
std::string render_attributes(
    std::initializer_list<std::pair<std::string_view, std::string_view>> attributes);

// To be called within a transaction.
void log_event(Database& database, std::string_view type, std::string_view action,
               std::string_view actor, std::string_view attributes);

}  // namespace storage
