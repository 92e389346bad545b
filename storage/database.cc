#include "storage/database.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <ctime>
#include <fcntl.h>
#include <sqlite3.h>
#include <unistd.h>
#include <utility>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "storage/schema.h"

namespace storage {
namespace {

constexpr std::size_t kUncached = static_cast<std::size_t>(-1);
constexpr std::int64_t kPatience = 60'000'000'000;  // nanoseconds
// A log of so many pages is written back by whoever commits next, though somebody may be waiting
// for that command: reading the log is what opening the database costs most.
constexpr std::int64_t kLogLimit = 4000;
constexpr timespec kLookForOthers = {.tv_sec = 0, .tv_nsec = 20'000'000};

std::int64_t monotonic_now() {
  timespec now = {};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

std::string path_of_log(const std::filesystem::path& file) { return file.string() + "-wal"; }

base::ErrorKind kind_of(int code, int errno_value) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return base::ErrorKind::kNoSpace;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return base::ErrorKind::kUnavailable;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return base::ErrorKind::kCorrupt;
    default:
      return errno_value == ENOSPC || errno_value == EDQUOT ? base::ErrorKind::kNoSpace
                                                            : base::ErrorKind::kSystem;
  }
}

std::string describe(int code, const char* message) {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "another command has kept the database busy for a minute";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return std::string("the database is damaged: ") + message;
    case SQLITE_FULL:
      return "no space left on device";
    case SQLITE_READONLY:
      return "the database can't be written: it is read-only";
    default:
      return message;
  }
}

}  // namespace

Statement::Statement(Database& database, sqlite3_stmt* handle, std::size_t slot)
    : database_(&database), handle_(handle), slot_(slot) {}

Statement::Statement(Statement&& other) noexcept
    : database_(other.database_),
      handle_(std::exchange(other.handle_, nullptr)),
      slot_(other.slot_),
      bound_(other.bound_) {}

Statement::~Statement() {
  if (handle_ != nullptr) database_->put_back(*this);
}

Statement& Statement::bind(std::int64_t value) {
  if (const int code = sqlite3_bind_int64(handle_, ++bound_, value)) database_->fail(code);
  return *this;
}

Statement& Statement::bind(std::string_view text) {
  // A null pointer would bind NULL rather than the empty text.
  const char* const data = text.data() != nullptr ? text.data() : "";
  if (const int code =
          sqlite3_bind_text64(handle_, ++bound_, data, text.size(), SQLITE_STATIC, SQLITE_UTF8)) {
    database_->fail(code);
  }
  return *this;
}

bool Statement::step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) database_->fail(code);
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

std::int64_t Statement::integer(int column) const { return sqlite3_column_int64(handle_, column); }

std::string Statement::text(int column) const {
  const auto* const data = reinterpret_cast<const char*>(sqlite3_column_text(handle_, column));
  if (data == nullptr) return {};
  return {data, static_cast<std::size_t>(sqlite3_column_bytes(handle_, column))};
}

Database::Database(const std::filesystem::path& file) : file_(file) {
  jitter_ = static_cast<std::uint64_t>(monotonic_now()) ^
            (static_cast<std::uint64_t>(getpid()) * 0x9e3779b97f4a7c15U);
  // One thread uses a connection (store.h): no mutexes.
  const int code =
      sqlite3_open_v2(file_.c_str(), &handle_,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  base::Cleanup close_again([this] { close(); });
  if (code != SQLITE_OK) fail(code);
  sqlite3_extended_result_codes(handle_, 1);
  // Writing the log back syncs twice; only checkpoint() does it, never the end of a command.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  // This hook takes the place of the one that does checkpoints automatically.
  sqlite3_wal_hook(
      handle_,
      [](void* self, sqlite3*, const char*, int frames) {
        static_cast<Database*>(self)->log_frames_ = frames;
        return SQLITE_OK;
      },
      this);
  sqlite3_busy_handler(
      handle_, [](void* self, int count) { return static_cast<Database*>(self)->on_busy(count); },
      this);
  prepare_schema(*this);
  close_again.dismiss();
}

Database::~Database() { close(); }

void Database::close() noexcept {
  for (const Cached& entry : cache_) sqlite3_finalize(entry.handle);
  sqlite3_close(handle_);
}

Statement Database::prepare(Sql sql) {
  const auto entry = std::find_if(cache_.begin(), cache_.end(),
                                  [sql](const Cached& cached) { return cached.sql == sql.text; });
  if (entry != cache_.end() && !entry->lent) {
    entry->lent = true;
    return {*this, entry->handle, static_cast<std::size_t>(entry - cache_.begin())};
  }
  sqlite3_stmt* handle = nullptr;
  if (const int code = sqlite3_prepare_v2(handle_, sql.text, -1, &handle, nullptr)) fail(code);
  if (entry != cache_.end()) return {*this, handle, kUncached};  // used within itself
  cache_.push_back({.sql = sql.text, .handle = handle, .lent = true});
  return {*this, handle, cache_.size() - 1};
}

void Database::put_back(Statement& statement) noexcept {
  if (statement.slot_ == kUncached) {
    sqlite3_finalize(statement.handle_);
    return;
  }
  sqlite3_reset(statement.handle_);
  sqlite3_clear_bindings(statement.handle_);
  cache_[statement.slot_].lent = false;
}

void Database::execute(const char* sql) {
  if (const int code = sqlite3_exec(handle_, sql, nullptr, nullptr, nullptr)) fail(code);
}

std::int64_t Database::changes() const { return sqlite3_changes64(handle_); }

void Database::fail(int code) {
  const int errno_value = handle_ != nullptr ? sqlite3_system_errno(handle_) : 0;
  const std::string name = file_.string();
  const int primary = code & 0xff;
  if ((primary == SQLITE_CANTOPEN || primary == SQLITE_IOERR) && errno_value != 0) {
    base::throw_errno(name, errno_value);
  }
  const char* const message = handle_ != nullptr ? sqlite3_errmsg(handle_) : sqlite3_errstr(code);
  throw base::Error(kind_of(code, errno_value), name + ": " + describe(code, message));
}

// SQLite's own handler sleeps 1, 2, 5, … 100 ms: fifty commands would queue for seconds behind
// transactions that take 0.1 ms. Random lengths keep the waiting ones from coming back together.
int Database::on_busy(int count) noexcept {
  if (!patient_) return 0;
  const std::int64_t now = monotonic_now();
  if (count == 0) waiting_since_ = now;
  if (now - waiting_since_ > kPatience) return 0;
  jitter_ ^= jitter_ << 13U;
  jitter_ ^= jitter_ >> 7U;
  jitter_ ^= jitter_ << 17U;
  const std::uint64_t longest = std::min(50'000U << std::min(count, 6), 2'000'000U);
  const timespec pause = {.tv_sec = 0, .tv_nsec = static_cast<long>(20'000 + jitter_ % longest)};
  nanosleep(&pause, nullptr);
  return 1;
}

void Database::sync() {
  // What SQLite does with synchronous=FULL, only for the transactions that need it.
  const base::UniqueFd log = base::open_file(path_of_log(file_), O_RDWR);
  base::check(fdatasync(log.get()), path_of_log(file_));
}

void Database::map_file() { execute("PRAGMA mmap_size=1073741824"); }

void Database::reserve_log(std::int64_t bytes) noexcept {
  const base::UniqueFd log(open(path_of_log(file_).c_str(), O_RDWR | O_CLOEXEC));
  if (log) static_cast<void>(fallocate(log.get(), FALLOC_FL_KEEP_SIZE, 0, bytes));
}

bool Database::write_back(int mode) {
  const int code = sqlite3_wal_checkpoint_v2(handle_, nullptr, mode, nullptr, nullptr);
  if ((code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED) return false;
  if (code != SQLITE_OK) fail(code);
  return true;
}

std::int64_t Database::version_of_others() {
  Statement query = prepare("PRAGMA data_version");
  query.step();
  return query.integer(0);
}

void Database::checkpoint(std::int64_t frames) {
  if (log_frames_ < frames) return;
  const bool is_urgent = log_frames_ > kLogLimit;
  patient_ = false;
  in_checkpoint_ = true;
  const base::Cleanup restore([this] {
    patient_ = true;
    in_checkpoint_ = false;
  });
  // Whoever writes while the log is being synced waits for the disk too (jbd2 commits the inode of
  // the log), so where others are at work it is left to the last of them.
  const std::int64_t before = version_of_others();
  const auto others_wrote = [&] { return !is_urgent && version_of_others() != before; };
  if (!is_urgent) nanosleep(&kLookForOthers, nullptr);
  // The first pass copies and syncs while others may write, the second keeps writers out.
  if (others_wrote() || !write_back(SQLITE_CHECKPOINT_PASSIVE)) return;
  if (others_wrote() || !write_back(SQLITE_CHECKPOINT_RESTART)) return;
  // The first write after that begins the log anew and syncs its header: better here than in the
  // next command. The file keeps its length, so that a full disk has room for it (schema.cc).
  patient_ = true;
  Transaction transaction(*this);
  prepare(
      "INSERT OR REPLACE INTO meta VALUES('checkpoints',"
      "1+ifnull((SELECT value FROM meta WHERE key='checkpoints'),0))")
      .run();
  transaction.commit();
}

// Rarely does anything: somebody must have ended many commands before their polite checkpoints.
void Database::after_commit() noexcept {
  if (in_checkpoint_) return;
  try {
    checkpoint(kLogLimit);
  } catch (const base::Error&) {  // what was to be done is committed; the next command tries again
  }
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.prepare("BEGIN IMMEDIATE").run();
}

Transaction::~Transaction() {
  if (!open_) return;
  // After some errors SQLite has rolled back by itself.
  if (sqlite3_get_autocommit(database_.handle_) == 0) {
    sqlite3_exec(database_.handle_, "ROLLBACK", nullptr, nullptr, nullptr);
  }
}

void Transaction::commit() {
  database_.prepare("COMMIT").run();
  open_ = false;
  database_.after_commit();
}

}  // namespace storage
