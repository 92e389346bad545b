// Networks: rows that the engine gives their meaning.
#include "base/error.h"
#include "storage/database.h"
#include "storage/event_log.h"
#include "storage/store.h"

namespace storage {
namespace {

NetworkRow read_network(const Statement& query) {
  return {.name = query.text(0),
          .driver = query.text(1),
          .options = query.text(2),
          .created = query.integer(3)};
}

}  // namespace

std::optional<NetworkRow> Store::find_network(std::string_view name) {
  Statement query =
      database_->prepare("SELECT name,driver,options,created FROM networks WHERE name=?");
  query.bind(name);
  if (!query.step()) return std::nullopt;
  return read_network(query);
}

NetworkRow Store::add_network(const NetworkRow& row) {
  Transaction transaction(*database_);
  if (auto existing = find_network(row.name)) return *existing;
  database_->prepare("INSERT INTO networks VALUES(?,?,?,?)")
      .bind_all(row.name, row.driver, row.options, row.created)
      .run();
  log_event(*database_, "network", "create", row.name,
            render_attributes({{"name", row.name}, {"type", row.driver}}));
  transaction.commit();
  return row;
}

std::vector<NetworkRow> Store::list_networks() {
  Statement query =
      database_->prepare("SELECT name,driver,options,created FROM networks ORDER BY name");
  std::vector<NetworkRow> rows;
  while (query.step()) rows.push_back(read_network(query));
  return rows;
}

void Store::remove_network(std::string_view name) {
  Transaction transaction(*database_);
  Statement lease = database_->prepare("SELECT container FROM leases WHERE network=? LIMIT 1");
  lease.bind(name);
  if (lease.step()) {
    throw base::Error(base::ErrorKind::kConflict, "error while removing network: network " +
                                                      std::string(name) + " has active endpoints");
  }
  database_->prepare("DELETE FROM networks WHERE name=?").bind(name).run();
  if (database_->changes() == 0) {
    throw base::Error(base::ErrorKind::kNotFound, "network " + std::string(name) + " not found");
  }
  database_->prepare("DELETE FROM meta WHERE key='lease/'||?").bind(name).run();
  log_event(*database_, "network", "destroy", name, render_attributes({{"name", name}}));
  transaction.commit();
}

}  // namespace storage
