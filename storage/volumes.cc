// Volumes: a row and a directory each. The directory of a volume is made before its row can be
// seen and leaves before its row goes, so a kill between the two leaves a row that can be removed
// again, never data that nothing names.
#include <cerrno>
#include <cstdio>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "storage/database.h"
#include "storage/event_log.h"
#include "storage/store.h"

namespace storage {
namespace {

VolumeRow read_volume(const Statement& query) {
  return {.name = query.text(0),
          .anonymous = query.integer(1) != 0,
          .labels = query.text(2),
          .created = query.integer(3),
          .options = query.text(4)};
}

// Names become directories; the engine has its own, stricter grammar.
void check_name(std::string_view name) {
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string_view::npos ||
      name.find('\0') != std::string_view::npos || name.size() > 255) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "\"" + std::string(name) + "\" can't be a volume's name");
  }
}

}  // namespace

std::optional<VolumeRow> Store::find_volume(std::string_view name) {
  Statement query =
      database_->prepare("SELECT name,anonymous,labels,created,options FROM volumes WHERE name=?");
  query.bind(name);
  if (!query.step()) return std::nullopt;
  return read_volume(query);
}

VolumeRow Store::add_volume(const VolumeRow& row) {
  check_name(row.name);
  Transaction transaction(*database_);
  // Also where the row is there: remove_volume() may have been killed half-way.
  base::make_dirs(volume_dir(row.name));
  if (auto existing = find_volume(row.name)) return *existing;
  database_->prepare("INSERT INTO volumes VALUES(?,?,?,?,?)")
      .bind_all(row.name, row.anonymous, row.labels, row.created, row.options)
      .run();
  log_event(*database_, "volume", "create", row.name, render_attributes({{"driver", "local"}}));
  transaction.commit();
  return row;
}

std::vector<VolumeRow> Store::list_volumes() {
  Statement query =
      database_->prepare("SELECT name,anonymous,labels,created,options FROM volumes ORDER BY name");
  std::vector<VolumeRow> rows;
  while (query.step()) rows.push_back(read_volume(query));
  return rows;
}

// The engine writes a mount of a volume as {…"source":"NAME"…}, and a bind's source is a path.
std::vector<std::string> Store::find_volume_users(std::string_view name) {
  const std::string wanted = "\"source\":\"" + std::string(name) + "\"";
  Statement query = database_->prepare("SELECT id FROM options WHERE instr(options,?)");
  query.bind(wanted);
  std::vector<std::string> ids;
  while (query.step()) ids.push_back(query.text(0));
  return ids;
}

void Store::remove_volume(std::string_view name) {
  check_name(name);
  Transaction transaction(*database_);
  if (const auto users = find_volume_users(name); !users.empty()) {
    std::string list;
    for (const std::string& id : users) list += (list.empty() ? "" : ", ") + id;
    throw base::Error(base::ErrorKind::kConflict,
                      "remove " + std::string(name) + ": volume is in use - [" + list + "]");
  }
  database_->prepare("DELETE FROM volumes WHERE name=?").bind(name).run();
  if (database_->changes() == 0) {
    throw base::Error(base::ErrorKind::kNotFound, "get " + std::string(name) + ": no such volume");
  }
  log_event(*database_, "volume", "destroy", name, render_attributes({{"driver", "local"}}));
  const fs::path folder = root_ / "volumes" / name;
  const fs::path trash = root_ / "trash" / base::random_hex(8);
  if (rename(folder.c_str(), trash.c_str()) != 0 && errno != ENOENT) {
    base::throw_errno(folder.string());
  }
  base::Cleanup bring_back([&] { static_cast<void>(rename(trash.c_str(), folder.c_str())); });
  transaction.commit();
  bring_back.dismiss();
}

}  // namespace storage
