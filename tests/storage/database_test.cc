#include "storage/database.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/process.h"
#include "storage/schema.h"
#include "tests/storage/store_support.h"

namespace {

using namespace storage_test;
using storage::Database;
using storage::Store;
using storage::Transaction;

class DatabaseTest : public testing::Test {
 protected:
  fs::path file() const { return root_.path() / "sampan.db"; }
  std::uintmax_t log_size() const { return fs::file_size(file().string() + "-wal"); }

  TempRoot root_;
};

std::int64_t count_meta(Database& database) {
  storage::Statement query = database.prepare("SELECT count(*) FROM meta WHERE key LIKE 'test%'");
  query.step();
  return query.integer(0);
}

void put(Database& database, const std::string& key) {
  database.prepare("INSERT OR REPLACE INTO meta VALUES('test'||?,1)").bind_all(key).run();
}

TEST_F(DatabaseTest, WithoutCommitNothingHappened) {
  Database database(file());
  {
    Transaction transaction(database);
    put(database, "1");
    EXPECT_EQ(count_meta(database), 1);
  }
  EXPECT_EQ(count_meta(database), 0);
  Transaction transaction(database);
  put(database, "1");
  transaction.commit();
  EXPECT_EQ(count_meta(database), 1);
  EXPECT_EQ(database.changes(), 1);
}

TEST_F(DatabaseTest, AStatementCanBeUsedWithinItself) {
  Database database(file());
  for (const char* key : {"1", "2", "3"}) put(database, key);
  const auto query = [&] {
    return database.prepare("SELECT key FROM meta WHERE key LIKE 'test_'");
  };
  int pairs = 0;
  storage::Statement outer = query();
  while (outer.step()) {
    storage::Statement inner = query();
    while (inner.step()) ++pairs;
  }
  EXPECT_EQ(pairs, 9);
}

TEST_F(DatabaseTest, TextKeepsEveryByte) {
  Database database(file());
  const std::string odd("a\0'\xff", 4);
  database.prepare("INSERT INTO meta VALUES(?,1)").bind_all(odd).run();
  storage::Statement query = database.prepare("SELECT key FROM meta WHERE key=?");
  query.bind(odd);
  ASSERT_TRUE(query.step());
  EXPECT_EQ(query.text(0), odd);
  storage::Statement empty = database.prepare("SELECT ?1 IS NULL");
  empty.bind(std::string_view());
  ASSERT_TRUE(empty.step());
  EXPECT_EQ(empty.integer(0), 0);
}

TEST_F(DatabaseTest, RefusesWhatANewerSampanWrote) {
  { Database(file()).execute("PRAGMA user_version=99"); }
  EXPECT_EQ(error_of(base::ErrorKind::kUnsupported, [&] { Database database(file()); }),
            file().string() + ": written by a newer sampan (schema 99, this one knows " +
                std::to_string(storage::kSchemaVersion) + ")");
}

TEST_F(DatabaseTest, SaysThatADatabaseIsDamaged) {
  base::write_file(file(), std::string(8192, 'x'));
  const std::string text = error_of(base::ErrorKind::kCorrupt, [&] { Database database(file()); });
  EXPECT_EQ(text, file().string() + ": the database is damaged: file is not a database");
}

TEST_F(DatabaseTest, SaysThatPagesAreDamaged) {
  {
    Database database(file());
    for (int i = 0; i < 200; ++i) put(database, std::to_string(i));
    database.checkpoint(0);
  }
  {
    const base::UniqueFd fd = base::open_file(file(), O_RDWR);
    const std::string noise(storage::kPageSize, '\x5a');
    for (off_t at = storage::kPageSize; at < static_cast<off_t>(fs::file_size(file()));
         at += storage::kPageSize) {
      ASSERT_EQ(pwrite(fd.get(), noise.data(), noise.size(), at),
                static_cast<ssize_t>(noise.size()));
    }
    fs::resize_file(file().string() + "-wal", 0);
  }
  const std::string text = error_of(base::ErrorKind::kCorrupt, [&] {
    Database database(file());
    count_meta(database);
  });
  EXPECT_NE(text.find("the database is damaged"), std::string::npos) << text;
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST_F(DatabaseTest, SaysWhyItCantBeOpened) {
  EXPECT_EQ(error_of(base::ErrorKind::kNotFound,
                     [&] { Database database(root_.path() / "none" / "x.db"); }),
            (root_.path() / "none" / "x.db").string() + ": No such file or directory");
  base::make_dirs(file());
  const std::string text = error_of(base::ErrorKind::kSystem, [&] { Database database(file()); });
  EXPECT_NE(text.find(file().string()), std::string::npos);
}

TEST_F(DatabaseTest, AHalfMadeDatabaseIsFinished) {
  base::write_file(file(), "");
  { Database database(file()); }
  Database(file()).execute("DROP TABLE events");  // as if killed: tables are made in one go
  Database(file()).execute("PRAGMA user_version=0");
  // Version 0 with tables can't come from us: a transaction makes both. It must not pass silently.
  EXPECT_THROW(Database database(file()), base::Error);
}

TEST_F(DatabaseTest, ClosingWritesNothingBack) {
  { Database database(file()); }
  {
    Database database(file());
    put(database, "1");
  }
  EXPECT_GT(log_size(), 0U);
  Database database(file());
  EXPECT_EQ(count_meta(database), 1);
}

TEST_F(DatabaseTest, ACheckpointStartsALogAnewThatHasGrown) {
  Database database(file());
  for (int i = 0; i < 50; ++i) put(database, std::to_string(i));
  const std::int64_t before = database.log_frames();
  EXPECT_GE(before, 50);
  database.checkpoint(1'000'000);
  EXPECT_EQ(database.log_frames(), before);
  database.checkpoint(10);
  EXPECT_LT(database.log_frames(), 5);
  EXPECT_EQ(count_meta(database), 50);
  // What the next one finds to read.
  Database next(file());
  put(next, "next");
  EXPECT_LT(next.log_frames(), 8);
  EXPECT_EQ(count_meta(next), 51);
}

TEST_F(DatabaseTest, ACheckpointWaitsForNobody) {
  Database database(file());
  for (int i = 0; i < 50; ++i) put(database, std::to_string(i));
  Database other(file());
  storage::Statement reader = other.prepare("SELECT key FROM meta");
  ASSERT_TRUE(reader.step());  // keeps its view of the log
  database.checkpoint(0);
  put(database, "more");
  while (reader.step()) {
  }
  EXPECT_EQ(count_meta(database), 51);
}

TEST_F(DatabaseTest, TheLogNeverGrowsForEver) {
  Database database(file());
  for (int i = 0; i < 6000; ++i) {
    Transaction transaction(database);
    put(database, std::to_string(i % 10));
    transaction.commit();
    if (i % 1000 == 999) {
      EXPECT_LT(log_size(), 5000U * (storage::kPageSize + 24));
    }
  }
}

// Another process keeps the write lock for a while: we wait rather than fail.
TEST_F(DatabaseTest, WaitsForAWriter) {
  { Database database(file()); }
  int gate[2];
  ASSERT_EQ(pipe2(gate, O_CLOEXEC), 0);
  const pid_t child = fork();
  if (child == 0) {
    Database database(file());
    Transaction transaction(database);
    put(database, "child");
    static_cast<void>(!write(gate[1], "x", 1));
    usleep(200'000);
    transaction.commit();
    _exit(0);
  }
  char byte = 0;
  ASSERT_EQ(read(gate[0], &byte, 1), 1);
  Database database(file());
  EXPECT_EQ(count_meta(database), 0);  // readers don't wait
  {
    Transaction transaction(database);
    EXPECT_EQ(count_meta(database), 1);
  }
  EXPECT_EQ(base::wait_for_child(child), 0);
  close(gate[0]);
  close(gate[1]);
}

TEST_F(DatabaseTest, AKilledWriterLeavesNoLock) {
  { Database database(file()); }
  const pid_t child = fork();
  if (child == 0) {
    Database database(file());
    Transaction transaction(database);
    put(database, "child");
    kill(getpid(), SIGKILL);
    _exit(0);
  }
  EXPECT_EQ(base::wait_for_child(child), 128 + SIGKILL);
  Database database(file());
  Transaction transaction(database);
  EXPECT_EQ(count_meta(database), 0);
}

}  // namespace
