#include "storage/leases.h"

#include <algorithm>

#include "base/error.h"
#include "storage/database.h"

namespace storage {
namespace {

std::string dotted(std::uint32_t address) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (!text.empty()) text += '.';
    text += std::to_string((address >> static_cast<unsigned>(shift)) & 255U);
  }
  return text;
}

std::optional<std::uint32_t> find_address(Database& database, std::string_view container,
                                          std::string_view network) {
  Statement query = database.prepare("SELECT address FROM leases WHERE container=? AND network=?");
  query.bind_all(container, network);
  if (!query.step()) return std::nullopt;
  return static_cast<std::uint32_t>(query.integer(0));
}

bool is_taken(Database& database, std::string_view network, std::uint32_t address) {
  Statement query = database.prepare("SELECT 1 FROM leases WHERE network=? AND address=?");
  query.bind_all(network, address);
  return query.step();
}

// The lowest free address within the bounds; walks over the run of taken ones at `from`, which is
// short because addresses are given in turn.
std::optional<std::uint32_t> find_free(Database& database, std::string_view network,
                                       std::uint32_t from, std::uint32_t to) {
  if (from > to) return std::nullopt;
  Statement query = database.prepare(
      "SELECT address FROM leases WHERE network=? AND address BETWEEN ? AND ? ORDER BY address");
  query.bind_all(network, from, to);
  std::uint32_t candidate = from;
  while (query.step() && query.integer(0) == candidate) {
    if (candidate == to) return std::nullopt;
    ++candidate;
  }
  return candidate;
}

std::uint32_t last_given(Database& database, std::string_view network) {
  Statement query = database.prepare("SELECT value FROM meta WHERE key='lease/'||?");
  query.bind(network);
  return query.step() ? static_cast<std::uint32_t>(query.integer(0)) : 0;
}

// find_free() past what is reserved.
std::optional<std::uint32_t> find_unreserved(Database& database, const LeaseRequest& request,
                                             std::uint32_t from, std::uint32_t to) {
  for (;;) {
    const auto address = find_free(database, request.network, from, to);
    if (!address || std::find(request.reserved.begin(), request.reserved.end(), *address) ==
                        request.reserved.end()) {
      return address;
    }
    if (*address == to) return std::nullopt;
    from = *address + 1;
  }
}

// The first after the last that was given: an address that was just released is the last to be
// used again, so that what others remember of it (ARP, connections) has time to go.
std::uint32_t choose_address(Database& database, const LeaseRequest& request) {
  const std::uint32_t last = last_given(database, request.network);
  const bool in_range = last >= request.first && last < request.last;
  const std::uint32_t from = in_range ? last + 1 : request.first;
  auto address = find_unreserved(database, request, from, request.last);
  if (!address && in_range) address = find_unreserved(database, request, request.first, last);
  if (!address) {
    throw base::Error(
        base::ErrorKind::kUnavailable,
        "no available IPv4 addresses on this network's address pools: " + request.network);
  }
  database.prepare("INSERT OR REPLACE INTO meta VALUES('lease/'||?,?)")
      .bind_all(request.network, *address)
      .run();
  return *address;
}

std::uint32_t check_wanted(Database& database, const LeaseRequest& request) {
  const std::uint32_t wanted = *request.wanted;
  const bool is_wider = request.highest != 0;
  if (wanted < (is_wider ? request.lowest : request.first) ||
      wanted > (is_wider ? request.highest : request.last)) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "no configured subnet contains IP address " + dotted(wanted));
  }
  const bool is_reserved =
      std::find(request.reserved.begin(), request.reserved.end(), wanted) != request.reserved.end();
  if (is_reserved || is_taken(database, request.network, wanted)) {
    throw base::Error(base::ErrorKind::kConflict, "Address already in use: " + dotted(wanted));
  }
  return wanted;
}

}  // namespace

std::uint32_t take_address(Database& database, std::string_view container,
                           const LeaseRequest& request) {
  if (const auto old = find_address(database, container, request.network)) {
    const bool fits = *old >= request.first && *old <= request.last;
    if (request.wanted ? *request.wanted == *old : fits) return *old;
    database.prepare("DELETE FROM leases WHERE container=? AND network=?")
        .bind_all(container, request.network)
        .run();
  }
  const std::uint32_t address =
      request.wanted ? check_wanted(database, request) : choose_address(database, request);
  database.prepare("INSERT INTO leases VALUES(?,?,?)")
      .bind_all(request.network, address, container)
      .run();
  return address;
}

std::optional<std::uint32_t> Store::lease_address(std::string_view container,
                                                  const LeaseRequest& lease) {
  Transaction transaction(*database_);
  const std::uint32_t address = take_address(*database_, container, lease);
  transaction.commit();
  return address;
}

void Store::release_address(std::string_view container, std::string_view network) {
  Transaction transaction(*database_);
  database_->prepare("DELETE FROM leases WHERE container=? AND network=?")
      .bind_all(container, network)
      .run();
  transaction.commit();
}

std::vector<Lease> Store::list_leases() {
  Statement query =
      database_->prepare("SELECT network,container,address FROM leases ORDER BY network,address");
  std::vector<Lease> leases;
  while (query.step()) {
    leases.push_back({.network = query.text(0),
                      .container = query.text(1),
                      .address = static_cast<std::uint32_t>(query.integer(2))});
  }
  return leases;
}

std::optional<std::uint32_t> Store::find_lease(std::string_view container,
                                               std::string_view network) {
  return find_address(*database_, container, network);
}

}  // namespace storage
