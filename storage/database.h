// Database: SQLite as this room uses it: cached statements, transactions that roll back, errors as
// base::Error.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct sqlite3;
struct sqlite3_stmt;

namespace storage {

class Database;

// One SQL statement. Only a string literal makes one, since the cache of prepared statements goes
// by its address.
struct Sql {
  consteval Sql(const char* literal) : text(literal) {}  // NOLINT(google-explicit-constructor)
  const char* text;
};

// A prepared statement lent by the database for one use; goes back, reset, when it leaves scope.
// Text that is bound must outlive the statement.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement(const Statement&) = delete;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  // Binds the next parameter.
  Statement& bind(std::int64_t value);
  Statement& bind(std::string_view text);
  template <class... Values>
  Statement& bind_all(const Values&... values) {
    (bind_one(values), ...);
    return *this;
  }

  bool step();  // true: a row is there to be read
  void run();   // steps to the end

  std::int64_t integer(int column) const;
  std::string text(int column) const;

 private:
  friend class Database;
  Statement(Database& database, sqlite3_stmt* handle, std::size_t slot);
  void bind_one(std::string_view text) { bind(text); }
  void bind_one(const std::string& text) { bind(std::string_view(text)); }
  void bind_one(const char* text) { bind(std::string_view(text)); }
  template <class Integer>
  void bind_one(Integer value) {
    bind(static_cast<std::int64_t>(value));
  }

  Database* database_;
  sqlite3_stmt* handle_;
  std::size_t slot_;  // in the cache; kUncached: finalized at the end
  int bound_ = 0;
};

// One connection. Not thread-safe, and not to be used in a child of fork(2). While it is open, no
// other code of the process may open and close the database file: close(2) would drop SQLite's
// locks (fcntl(2), "Advisory record locking").
class Database {
 public:
  explicit Database(const std::filesystem::path& file);
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database();

  Statement prepare(Sql sql);
  void execute(const char* sql);  // any number of statements, no parameters, no rows
  std::int64_t changes() const;   // rows that the last statement changed

  // Makes what has been committed survive a loss of power.
  void sync();

  // From here on pages are read from a mapping of the file, which never becomes shorter: for those
  // who look at thousands of them.
  void map_file();

  // Asks the file system for blocks for the log, which keeps its length.
  void reserve_log(std::int64_t bytes) noexcept;

  // Writes the log back into the database and starts it anew, if nobody is in the way and it held
  // at least `frames` pages at this connection's last commit. Takes its time, but waits for no
  // other process.
  void checkpoint(std::int64_t frames);
  std::int64_t log_frames() const { return log_frames_; }  // pages, at our last commit

  const std::filesystem::path& file() const { return file_; }

 private:
  friend class Statement;
  friend class Transaction;

  [[noreturn]] void fail(int code);
  void put_back(Statement& statement) noexcept;
  bool write_back(int mode);         // false: somebody is in the way
  std::int64_t version_of_others();  // another value after another connection's commit
  void after_commit() noexcept;
  void close() noexcept;
  int on_busy(int count) noexcept;

  struct Cached {
    const char* sql;
    sqlite3_stmt* handle;
    bool lent;
  };

  std::filesystem::path file_;
  sqlite3* handle_ = nullptr;
  std::vector<Cached> cache_;
  bool patient_ = true;  // false: a lock that is taken is an error at once
  bool in_checkpoint_ = false;
  std::int64_t log_frames_ = 0;
  std::int64_t waiting_since_ = 0;  // monotonic nanoseconds
  std::uint64_t jitter_ = 0;
};

// BEGIN IMMEDIATE to COMMIT. Without commit() everything is undone at the end of the scope.
class Transaction {
 public:
  explicit Transaction(Database& database);
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction();

  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace storage
