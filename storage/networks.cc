// Networks, and what containers are called on them: rows that the engine gives their meaning.
#include "base/error.h"
#include "base/files.h"
#include "storage/database.h"
#include "storage/event_log.h"
#include "storage/store.h"

namespace storage {
namespace {

NetworkRow read_network(const Statement& query) {
  return {.name = query.text(0),
          .driver = query.text(1),
          .options = query.text(2),
          .created = query.integer(3),
          .id = query.text(4),
          .labels = query.text(5)};
}

HostRow read_host(const Statement& query) {
  return {.network = query.text(0),
          .name = query.text(1),
          .container = query.text(2),
          .address = static_cast<std::uint32_t>(query.integer(3)),
          .address6 = query.text(4)};
}

std::vector<HostRow> read_hosts(Statement& query) {
  std::vector<HostRow> hosts;
  while (query.step()) hosts.push_back(read_host(query));
  return hosts;
}

void log_network(Database& database, std::string_view action, const NetworkRow& row) {
  log_event(database, "network", action, row.id,
            render_attributes({{"name", row.name}, {"type", row.driver}}));
}

// A container that was made but does not run keeps its address until somebody else wants it.
bool is_network_in_use(Database& database, std::string_view name) {
  Statement lease = database.prepare(
      "SELECT 1 FROM leases JOIN containers ON containers.id=leases.container WHERE "
      "leases.network IN(?1,?1||'/6') AND containers.status IN(1,2) LIMIT 1");
  lease.bind(name);
  if (lease.step()) return true;
  Statement host = database.prepare("SELECT 1 FROM hosts WHERE network=? LIMIT 1");
  host.bind(name);
  return host.step();
}

}  // namespace

std::optional<NetworkRow> Store::find_network(std::string_view name) {
  Statement query =
      database_->prepare("SELECT name,driver,options,created,id,labels FROM networks WHERE name=?");
  query.bind(name);
  if (!query.step()) return std::nullopt;
  return read_network(query);
}

std::optional<NetworkRow> Store::find_network_by(std::string_view name_or_id) {
  if (name_or_id.empty()) return std::nullopt;
  if (auto row = find_network(name_or_id)) return row;
  std::optional<NetworkRow> found;
  for (NetworkRow& row : list_networks()) {
    if (!row.id.starts_with(name_or_id)) continue;
    if (found) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "network " + std::string(name_or_id) + " is ambiguous: several ids match");
    }
    found = std::move(row);
  }
  return found;
}

NetworkRow Store::add_network(const NetworkRow& given) {
  Transaction transaction(*database_);
  if (auto existing = find_network(given.name)) return *existing;
  NetworkRow row = given;
  if (row.id.empty()) row.id = base::random_hex(32);
  database_->prepare("INSERT INTO networks VALUES(?,?,?,?,?,?)")
      .bind_all(row.name, row.driver, row.options, row.created, row.id, row.labels)
      .run();
  log_network(*database_, "create", row);
  transaction.commit();
  return row;
}

std::vector<NetworkRow> Store::list_networks() {
  Statement query = database_->prepare(
      "SELECT name,driver,options,created,id,labels FROM networks ORDER BY name");
  std::vector<NetworkRow> rows;
  while (query.step()) rows.push_back(read_network(query));
  return rows;
}

void Store::remove_network(std::string_view name_or_id) {
  Transaction transaction(*database_);
  const auto row = find_network_by(name_or_id);
  if (!row) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "network " + std::string(name_or_id) + " not found");
  }
  const std::string& name = row->name;
  if (is_network_in_use(*database_, name)) {
    throw base::Error(base::ErrorKind::kConflict, "error while removing network: network " + name +
                                                      " id " + row->id + " has active endpoints");
  }
  database_->prepare("DELETE FROM networks WHERE name=?").bind(name).run();
  database_->prepare("DELETE FROM leases WHERE network IN(?1,?1||'/6')").bind(name).run();
  database_->prepare("DELETE FROM meta WHERE key IN('lease/'||?1,'lease/'||?1||'/6')")
      .bind(name)
      .run();
  log_network(*database_, "destroy", *row);
  transaction.commit();
}

void Store::set_hosts(std::string_view container, const std::vector<HostRow>& hosts) {
  Transaction transaction(*database_);
  database_->prepare("DELETE FROM hosts WHERE container=?").bind(container).run();
  for (const HostRow& host : hosts) {
    if (!find_network(host.network)) {
      throw base::Error(base::ErrorKind::kNotFound, "network " + host.network + " not found");
    }
    database_->prepare("INSERT OR IGNORE INTO hosts VALUES(?,?,?,?,?)")
        .bind_all(host.network, host.name, container, host.address, host.address6)
        .run();
  }
  transaction.commit();
}

std::vector<HostRow> Store::find_hosts(std::string_view network, std::string_view name) {
  Statement query = database_->prepare(
      "SELECT network,name,container,address,address6 FROM hosts WHERE network=? AND name=?");
  query.bind_all(network, name);
  return read_hosts(query);
}

std::vector<HostRow> Store::find_hosts_at(std::string_view network, std::uint32_t address,
                                          std::string_view address6) {
  Statement query = database_->prepare(
      "SELECT network,name,container,address,address6 FROM hosts WHERE network=?1 AND "
      "((?2<>0 AND address=?2) OR (?3<>'' AND address6=?3))");
  query.bind_all(network, address, address6);
  return read_hosts(query);
}

}  // namespace storage
