// Schema: the tables of sampan.db and how older ones become this one; storage/FORMAT.md explains
// them.
#pragma once

namespace storage {

class Database;

constexpr int kSchemaVersion = 7;
// Small pages: a start writes a handful of rows, and what the log holds is read by the next
// command that opens the database alone.
constexpr int kPageSize = 1024;

// Called once for each connection: creates or migrates where necessary. Throws kUnsupported where a
// newer sampan wrote the database.
void prepare_schema(Database& database);

}  // namespace storage
