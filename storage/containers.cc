// Containers: one row each; name, address and event change in the row's own transaction.
#include <algorithm>

#include "base/error.h"
#include "storage/container_list.h"
#include "storage/database.h"
#include "storage/event_log.h"
#include "storage/layer_use.h"
#include "storage/leases.h"
#include "storage/store.h"

namespace storage {
namespace {

// What changes while a container lives is in `containers`; its long texts, which do not, are in
// `options`, so that a start writes one short row.
#define SAMPAN_SELECT_CONTAINER \
  "SELECT c.*,o.labels,o.options FROM containers c JOIN options o ON o.id=c.id "
constexpr char kSelectById[] = SAMPAN_SELECT_CONTAINER "WHERE c.id=?";
constexpr char kSelectByName[] = SAMPAN_SELECT_CONTAINER "WHERE c.name=?";
constexpr char kSelectByPrefix[] =
    SAMPAN_SELECT_CONTAINER "WHERE c.id>=?1 AND c.id<?1||'g' LIMIT 2";
constexpr char kSelectActive[] = SAMPAN_SELECT_CONTAINER "WHERE c.status IN(1,2,6)";
#undef SAMPAN_SELECT_CONTAINER
// In the order of their primary key, in which both tables lie on disk: no sorter, which is a file,
// and no look-up for each row.
constexpr char kSelectAllShort[] = "SELECT *,'',''FROM containers ORDER BY id";
constexpr char kSelectAllTexts[] = "SELECT id,labels,options FROM options ORDER BY id";
constexpr char kSelectAllLabels[] = "SELECT id,labels,''FROM options ORDER BY id";
constexpr char kSelectActiveShort[] = "SELECT *,'',''FROM containers WHERE status IN(1,2,6)";
static_assert(static_cast<int>(ContainerStatus::kRunning) == 1 &&
              static_cast<int>(ContainerStatus::kPaused) == 2 &&
              static_cast<int>(ContainerStatus::kRestarting) == 6);

base::ProcessId read_process(const Statement& query, int column) {
  return {.pid = static_cast<pid_t>(query.integer(column)),
          .start_time = static_cast<std::uint64_t>(query.integer(column + 1))};
}

ContainerRow read_container(const Statement& query) {
  return {.id = query.text(0),
          .name = query.text(1),
          .image = oci::ImageId::from_hex(query.text(2)),
          .image_name = query.text(15),
          .command = query.text(16),
          .status = static_cast<ContainerStatus>(query.integer(3)),
          .created = query.integer(4),
          .started = query.integer(5),
          .finished = query.integer(6),
          .init = read_process(query, 7),
          .monitor = read_process(query, 9),
          .boot_id = query.text(11),
          .exit_code = static_cast<int>(query.integer(12)),
          .oom_killed = query.integer(13) != 0,
          .auto_remove = query.integer(14) != 0,
          .restarts = static_cast<int>(query.integer(19)),
          .stopped = query.integer(20) != 0,
          .error = query.text(17),
          .options = query.text(22),
          .ports = query.text(18),
          .labels = query.text(21)};
}

void bind_container(Statement& statement, const ContainerRow& row) {
  statement.bind_all(row.id, row.name, row.image.hex(), static_cast<int>(row.status), row.created,
                     row.started, row.finished, row.init.pid, row.init.start_time, row.monitor.pid,
                     row.monitor.start_time, row.boot_id, row.exit_code, row.oom_killed,
                     row.auto_remove, row.image_name, row.command, row.error, row.ports,
                     row.restarts, row.stopped);
}

[[noreturn]] void throw_no_such_container(std::string_view id) {
  throw base::Error(base::ErrorKind::kNotFound, "No such container: " + std::string(id));
}

std::optional<ContainerRow> find_one(Database& database, Sql sql, std::string_view key) {
  Statement query = database.prepare(sql);
  query.bind(key);
  if (!query.step()) return std::nullopt;
  return read_container(query);
}

void check_name_is_free(Database& database, const std::string& name, std::string_view own_id) {
  Statement query = database.prepare("SELECT id FROM containers WHERE name=?");
  query.bind(name);
  if (!query.step() || query.text(0) == own_id) return;
  throw base::Error(base::ErrorKind::kConflict,
                    "Conflict. The container name \"/" + name +
                        "\" is already in use by container \"" + query.text(0) +
                        "\". You have to remove (or rename) that container to be able to reuse "
                        "that name.");
}

// docker's: a container's labels are attributes, too; of a name that comes twice the later counts.
std::string with_labels(const ContainerRow& row, std::string attributes) {
  constexpr std::size_t kEmpty = 2;  // "{}"
  if (row.labels.size() <= kEmpty || !row.labels.ends_with('}')) return attributes;
  return row.labels.substr(0, row.labels.size() - 1) + "," + attributes.substr(1);
}

void log_container(Database& database, std::string_view action, const ContainerRow& row) {
  log_event(database, "container", action, row.id,
            with_labels(row, render_attributes({{"image", row.image_name}, {"name", row.name}})));
}

void log_change(Database& database, const ContainerRow& old_row, const ContainerRow& row) {
  if (row.name != old_row.name) {
    log_event(database, "container", "rename", row.id,
              with_labels(row, render_attributes({{"image", row.image_name},
                                                  {"name", row.name},
                                                  {"oldName", "/" + old_row.name}})));
  }
  if (row.status == old_row.status) return;
  using enum ContainerStatus;
  const bool was_alive = old_row.status == kRunning || old_row.status == kPaused;
  if (row.status == kPaused) {
    log_container(database, "pause", row);
  } else if (row.status == kRunning) {
    log_container(database, was_alive ? "unpause" : "start", row);
  } else if ((row.status == kExited && old_row.status != kRestarting) ||
             (was_alive && row.status != kCreated)) {
    log_event(database, "container", "die", row.id,
              with_labels(row, render_attributes({{"exitCode", std::to_string(row.exit_code)},
                                                  {"image", row.image_name},
                                                  {"name", row.name}})));
  }
}

// Within a transaction.
void write_container(Database& database, const ContainerRow& old_row, const ContainerRow& row) {
  if (row.name != old_row.name) check_name_is_free(database, row.name, row.id);
  Statement update = database.prepare(
      "UPDATE containers SET name=?2,image=?3,status=?4,created=?5,started=?6,finished=?7,"
      "init_pid=?8,init_start=?9,monitor_pid=?10,monitor_start=?11,boot=?12,exit_code=?13,"
      "oom_killed=?14,auto_remove=?15,image_name=?16,command=?17,error=?18,ports=?19,"
      "restarts=?20,stopped=?21 WHERE id=?1");
  bind_container(update, row);
  update.run();
  if (row.labels != old_row.labels || row.options != old_row.options) {
    database.prepare("UPDATE options SET labels=?2,options=?3 WHERE id=?1")
        .bind_all(row.id, row.labels, row.options)
        .run();
  }
  log_change(database, old_row, row);
}

void check_image(Database& database, const oci::ImageId& image, const std::string& name) {
  Statement query = database.prepare("SELECT 1 FROM images WHERE id=? AND hidden=0");
  query.bind(image.hex());
  if (!query.step()) throw base::Error(base::ErrorKind::kNotFound, "No such image: " + name);
}

// Whether the container was the last of an image that was removed by force.
bool was_last_of_hidden(Database& database, const oci::ImageId& image) {
  Statement hidden = database.prepare("SELECT 1 FROM images WHERE id=? AND hidden=1");
  hidden.bind(image.hex());
  if (!hidden.step()) return false;
  Statement other = database.prepare("SELECT 1 FROM containers WHERE image=? LIMIT 1");
  other.bind(image.hex());
  return !other.step();
}

}  // namespace

std::optional<std::uint32_t> Store::add_container(const ContainerRow& row,
                                                  const std::optional<LeaseRequest>& lease) {
  std::vector<LeaseRequest> leases;
  if (lease) leases.push_back(*lease);
  const std::vector<std::uint32_t> addresses = add_container_on(row, leases);
  return addresses.empty() ? std::nullopt : std::optional(addresses.front());
}

std::vector<std::uint32_t> Store::add_container_on(const ContainerRow& row,
                                                   const std::vector<LeaseRequest>& leases) {
  Transaction transaction(*database_);
  check_name_is_free(*database_, row.name, {});
  check_image(*database_, row.image, row.image_name);
  {
    Statement insert = database_->prepare(
        "INSERT INTO containers VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    bind_container(insert, row);
    insert.run();
  }
  database_->prepare("INSERT INTO options VALUES(?,?,?)")
      .bind_all(row.id, row.labels, row.options)
      .run();
  std::vector<std::uint32_t> addresses;
  addresses.reserve(leases.size());
  for (const LeaseRequest& lease : leases) {
    addresses.push_back(take_address(*database_, row.id, lease));
  }
  log_container(*database_, "create", row);
  transaction.commit();
  return addresses;
}

std::optional<ContainerRow> Store::find_container(std::string_view name_or_id) {
  if (name_or_id.empty()) return std::nullopt;
  if (auto row = find_one(*database_, kSelectById, name_or_id)) return row;
  const std::string_view name = name_or_id.substr(name_or_id.front() == '/' ? 1 : 0);
  if (auto row = find_one(*database_, kSelectByName, name)) return row;
  Statement query = database_->prepare(kSelectByPrefix);
  query.bind(name_or_id);
  if (!query.step()) return std::nullopt;
  ContainerRow row = read_container(query);
  if (query.step()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "multiple IDs found with provided prefix: " + std::string(name_or_id));
  }
  return row;
}

namespace {

std::vector<ContainerRow> read_active(Database& database, ContainerTexts texts) {
  std::vector<ContainerRow> rows;
  const bool with_texts = texts != ContainerTexts::kNone;
  Statement query = database.prepare(with_texts ? Sql(kSelectActive) : Sql(kSelectActiveShort));
  while (query.step()) rows.push_back(read_container(query));
  return rows;
}

std::vector<ContainerRow> read_all_short(Database& database) {
  std::vector<ContainerRow> rows;
  Statement query = database.prepare(kSelectAllShort);
  while (query.step()) rows.push_back(read_container(query));
  return rows;
}

// Two tables in the same order, side by side. What reads the first is open while the second is
// read, so both are of the same moment.
std::vector<ContainerRow> read_all_with_texts(Database& database, ContainerTexts wanted) {
  std::vector<ContainerRow> rows;
  Statement texts = database.prepare(wanted == ContainerTexts::kAll ? Sql(kSelectAllTexts)
                                                                    : Sql(kSelectAllLabels));
  bool is_there = texts.step();
  Statement query = database.prepare(kSelectAllShort);
  while (query.step()) {
    ContainerRow row = read_container(query);
    while (is_there && texts.text(0) < row.id) is_there = texts.step();
    if (!is_there || texts.text(0) != row.id) continue;
    row.labels = texts.text(1);
    row.options = texts.text(2);
    rows.push_back(std::move(row));
  }
  return rows;
}

bool is_newer(const ContainerRow& a, const ContainerRow& b) {
  return a.created != b.created ? a.created > b.created : a.id < b.id;
}

// Each row is moved once: it is long, and sorting moves what it sorts many times.
std::vector<ContainerRow> sorted_newest_first(std::vector<ContainerRow> rows) {
  std::vector<ContainerRow*> order;
  order.reserve(rows.size());
  for (ContainerRow& row : rows) order.push_back(&row);
  std::sort(order.begin(), order.end(),
            [](const ContainerRow* a, const ContainerRow* b) { return is_newer(*a, *b); });
  std::vector<ContainerRow> sorted;
  sorted.reserve(rows.size());
  for (ContainerRow* row : order) sorted.push_back(std::move(*row));
  return sorted;
}

}  // namespace

std::vector<ContainerRow> list_containers(Store& store, const ContainerScope& scope) {
  Database& database = store.database();
  database.map_file();
  if (!scope.stopped) return sorted_newest_first(read_active(database, scope.texts));
  if (scope.texts == ContainerTexts::kNone) return sorted_newest_first(read_all_short(database));
  return sorted_newest_first(read_all_with_texts(database, scope.texts));
}

std::vector<ContainerRow> Store::list_containers() { return storage::list_containers(*this, {}); }

void Store::update_container(const ContainerRow& row) {
  Transaction transaction(*database_);
  const auto old_row = find_one(*database_, kSelectById, row.id);
  if (!old_row) throw_no_such_container(row.id);
  write_container(*database_, *old_row, row);
  transaction.commit();
}

std::optional<ContainerRow> Store::modify_container(
    std::string_view id, const std::function<void(ContainerRow&)>& change) {
  Transaction transaction(*database_);
  const auto old_row = find_one(*database_, kSelectById, id);
  if (!old_row) return std::nullopt;
  ContainerRow row = *old_row;
  change(row);
  row.id = old_row->id;
  write_container(*database_, *old_row, row);
  transaction.commit();
  return row;
}

void Store::remove_container(std::string_view id) {
  std::vector<LayerKey> layers;
  std::optional<base::UniqueFd> own;
  {
    Transaction transaction(*database_);
    const auto row = find_one(*database_, kSelectById, id);
    database_->prepare("DELETE FROM leases WHERE container=?").bind(id).run();
    database_->prepare("DELETE FROM hosts WHERE container=?").bind(id).run();
    if (!row) {
      transaction.commit();
      return;
    }
    database_->prepare("DELETE FROM containers WHERE id=?").bind(id).run();
    database_->prepare("DELETE FROM options WHERE id=?").bind(id).run();
    log_container(*database_, "destroy", *row);
    touch_image(*database_, row->image.hex());
    if (was_last_of_hidden(*database_, row->image)) {
      own = try_own_layers(root_);
      layers = forget_image(*database_, row->image.hex(), own ? OwnLayers::kYes : OwnLayers::kNo);
    }
    transaction.commit();
  }
  if (layers.empty() || !own) return;
  database_->sync();
  trash_layers(*this, layers);
}

void Store::rename_container(std::string_view id, std::string_view name) {
  const auto row = modify_container(id, [name](ContainerRow& changed) { changed.name = name; });
  if (!row) throw_no_such_container(id);
}

}  // namespace storage
