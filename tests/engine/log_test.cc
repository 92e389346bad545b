#include <algorithm>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <tuple>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "engine/log/journal_reader.h"
#include "engine/log/log_compressor.h"
#include "engine/log/log_journal.h"
#include "engine/log/log_reader.h"
#include "engine/log/log_trail.h"
#include "engine/log/log_writer.h"
#include "engine/log_plan.h"
#include "tests/base/temp_dir.h"

namespace engine {
namespace {

constexpr base::Nanoseconds kNoon = 1'700'000'000'000'000'000;

std::vector<std::string> read_log(const fs::path& path, LogOptions options = {},
                                  LogFormat format = LogFormat::kJson) {
  std::vector<std::string> lines;
  LogReader reader(path, format, options, [&](bool is_stderr, std::string_view line) {
    for (std::size_t at = 0; at < line.size();) {  // several lines may come at once
      const std::size_t end = std::min(line.find('\n', at), line.size() - 1) + 1;
      lines.push_back((is_stderr ? "E:" : "O:") + std::string(line.substr(at, end - at)));
      at = end;
    }
  });
  reader.read_existing();
  return lines;
}

using Lines = std::vector<std::string>;

TEST(LogLine, IsDockersJsonFile) {
  EXPECT_EQ(render_log_line("a\"\\\t\x01\xff\xc3\xa4\n", Stream::kStderr, kNoon),
            "{\"log\":\"a\\\"\\\\\\t\\u0001\\ufffd\xc3\xa4\\n\",\"stream\":\"stderr\","
            "\"time\":\"2023-11-14T22:13:20Z\"}\n");
}

TEST(LogLine, ComesBackAsItWas) {
  const auto entry = parse_log_line(render_log_line("x\r\n", Stream::kStdout, kNoon + 5));
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->text, "x\r\n");
  EXPECT_EQ(entry->time, kNoon + 5);
  EXPECT_FALSE(entry->is_stderr);
  for (const char* broken : {"", "{", "[]", "{\"log\":1}", R"({"log":"x","stream":"stdout"})"}) {
    EXPECT_FALSE(parse_log_line(broken).has_value()) << broken;
  }
}

TEST(LogWriter, WritesLinesOfBothStreamsAndWhatHasNoNewlineAtTheEnd) {
  const TempDir dir;
  LogWriter log(dir / "log", {});
  log.write(Stream::kStdout, "on", kNoon);
  log.write(Stream::kStderr, "err\n", kNoon);
  log.write(Stream::kStdout, "e\ntwo\nthr", kNoon);
  EXPECT_EQ(read_log(dir / "log"), (Lines{"E:err\n", "O:one\n", "O:two\n"}));
  log.finish(kNoon);
  EXPECT_EQ(read_log(dir / "log").back(), "O:thr");
}

TEST(LogWriter, MakesNoFileForASilentContainer) {
  const TempDir dir;
  LogWriter log(dir / "log", {});
  log.finish(kNoon);
  EXPECT_FALSE(fs::exists(dir / "log"));
  LogWriter none;
  none.write(Stream::kStdout, "x\n", kNoon);
}

TEST(LogWriter, CutsLongLinesBetweenCharacters) {
  const TempDir dir;
  LogWriter log(dir / "log", {});
  std::string line(LogWriter::kMaxLine - 1, 'x');
  line += "\xe2\x82\xac tail\n";  // a character of three bytes across the limit
  log.write(Stream::kStdout, line, kNoon);
  const std::string text = base::read_file(dir / "log");
  LogDecoder decoder(LogFormat::kJson);
  LogEntry entry;
  bool valid = false;
  const std::size_t first = decoder.take(text, entry, valid);
  EXPECT_EQ(entry.text.size(), LogWriter::kMaxLine - 1);
  EXPECT_EQ(decoder.take(std::string_view(text).substr(first), entry, valid), text.size() - first);
  EXPECT_EQ(entry.text, "\xe2\x82\xac tail\n");
}

TEST(LogWriter, MemoryStaysBoundedWithoutNewlines) {
  const TempDir dir;
  LogWriter log(dir / "log", {.max_size = 1U << 30U, .max_files = 1});
  const std::string block(65536, 'z');
  for (int i = 0; i < 64; ++i) log.write(Stream::kStdout, block, kNoon);
  log.finish(kNoon);
  std::size_t total = 0;
  for (const std::string& line : read_log(dir / "log")) total += line.size() - 2;
  EXPECT_EQ(total, 64U * 65536U);
}

TEST(LogWriter, RotatesAndNeverHoldsMoreThanItsLimit) {
  const TempDir dir;
  LogWriter log(dir / "log", {.max_size = 1000, .max_files = 3});
  for (int i = 0; i < 200; ++i) log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
  EXPECT_LE(fs::file_size(dir / "log"), 1000U);
  EXPECT_LE(fs::file_size(dir / "log.1"), 1000U);
  EXPECT_LE(fs::file_size(dir / "log.2"), 1000U);
  EXPECT_FALSE(fs::exists(dir / "log.3"));
  const Lines lines = read_log(dir / "log");
  EXPECT_EQ(lines.back(), "O:199\n");
  for (std::size_t i = 0; i < lines.size(); ++i) {  // in order, without a gap
    EXPECT_EQ(lines[i], "O:" + std::to_string(200 - lines.size() + i) + "\n");
  }
}

TEST(LogWriter, OneFileStartsOverWhenItIsFull) {
  const TempDir dir;
  LogWriter log(dir / "log", {.max_size = 300, .max_files = 1});
  for (int i = 0; i < 50; ++i) log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
  EXPECT_LE(fs::file_size(dir / "log"), 300U);
  EXPECT_EQ(read_log(dir / "log").back(), "O:49\n");
  EXPECT_FALSE(fs::exists(dir / "log.1"));
}

TEST(LogWriter, AFullDiskLosesLinesAndNothingElse) {
  LogWriter log("/dev/full", {});
  log.write(Stream::kStdout, "x\n", kNoon);
  EXPECT_EQ(log.lost_lines(), 1U);
}

TEST(LogWriter, DoesNotFollowALink) {
  const TempDir dir;
  fs::create_symlink(dir / "target", dir / "log");
  LogWriter log(dir / "log", {});
  log.write(Stream::kStdout, "x\n", kNoon);
  EXPECT_FALSE(fs::exists(dir / "target"));
}

TEST(LogReader, ReadsTailsThroughRotations) {
  const TempDir dir;
  LogWriter log(dir / "log", {.max_size = 500, .max_files = 10});
  for (int i = 0; i < 40; ++i) log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
  for (const std::int64_t tail : {0, 1, 2, 7, 20, 39, 40, 41, 1000}) {
    const Lines lines = read_log(dir / "log", {.tail = tail});
    const auto expected = std::min<std::int64_t>(tail, 40);
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(expected)) << tail;
    if (expected > 0) {
      EXPECT_EQ(lines.front(), "O:" + std::to_string(40 - expected) + "\n");
    }
  }
}

TEST(LogReader, TailOfALargeFileIsFoundFromItsEnd) {
  const TempDir dir;
  LogWriter log(dir / "log", {.max_size = 1U << 30U, .max_files = 1});
  const std::string filler(3000, 'x');
  for (int i = 0; i < 500; ++i) {
    log.write(Stream::kStdout, std::to_string(i) + filler + "\n", kNoon);
  }
  const Lines lines = read_log(dir / "log", {.tail = 100});
  ASSERT_EQ(lines.size(), 100U);
  EXPECT_TRUE(lines.front().starts_with("O:400x"));
}

TEST(LogReader, ObeysSinceUntilAndTimestamps) {
  const TempDir dir;
  LogWriter log(dir / "log", {});
  for (int i = 0; i < 5; ++i) {
    log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon + i * 100'000'000LL);
  }
  EXPECT_EQ(read_log(dir / "log", {.since = kNoon + 300'000'000}), (Lines{"O:3\n", "O:4\n"}));
  EXPECT_EQ(read_log(dir / "log", {.until = kNoon + 100'000'000}), (Lines{"O:0\n", "O:1\n"}));
  EXPECT_EQ(read_log(dir / "log", {.timestamps = true, .tail = 1}),
            (Lines{"O:2023-11-14T22:13:20.400000000Z 4\n"}));
}

TEST(LogReader, SkipsALineThatACrashCut) {
  const TempDir dir;
  const std::string good = render_log_line("good\n", Stream::kStdout, kNoon);
  base::write_file(dir / "log", good.substr(0, 20) + "\n" + good + good.substr(0, 30));
  EXPECT_EQ(read_log(dir / "log"), Lines{"O:good\n"});
  EXPECT_EQ(read_log(dir / "missing"), Lines{});
}

// Both formats pass the same tests from here on.
class LogFormats : public ::testing::TestWithParam<LogFormat> {};
INSTANTIATE_TEST_SUITE_P(Both, LogFormats, ::testing::Values(LogFormat::kJson, LogFormat::kLocal));

TEST_P(LogFormats, KeepEveryByteThatIsUtf8AndWhetherALineHasEnded) {
  const TempDir dir;
  LogWriter log(dir / "log", {}, GetParam());
  log.write(Stream::kStderr, "a\"\\\t\x01\xc3\xa4\r\n", kNoon + 7);
  log.write(Stream::kStdout, "\n\nno end", kNoon + 8);
  log.finish(kNoon + 9);
  EXPECT_EQ(read_log(dir / "log", {}, GetParam()),
            (Lines{"E:a\"\\\t\x01\xc3\xa4\r\n", "O:\n", "O:\n", "O:no end"}));
  EXPECT_EQ(read_log(dir / "log", {.since = kNoon + 9}, GetParam()), (Lines{"O:no end"}));
}

TEST_P(LogFormats, GiveTailsThroughRotations) {
  const TempDir dir;
  LogWriter log(dir / "log", {.max_size = 500, .max_files = 20}, GetParam());
  for (int i = 0; i < 40; ++i) log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
  ASSERT_TRUE(fs::exists(dir / "log.2"));
  for (const std::int64_t tail : {0, 1, 2, 7, 20, 39, 40, 41, 1000}) {
    const Lines lines = read_log(dir / "log", {.tail = tail}, GetParam());
    const auto expected = std::min<std::int64_t>(tail, 40);
    ASSERT_EQ(lines.size(), static_cast<std::size_t>(expected)) << tail;
    if (expected > 0) {
      EXPECT_EQ(lines.front(), "O:" + std::to_string(40 - expected) + "\n");
    }
  }
}

TEST_P(LogFormats, GoOnBehindARecordThatACrashCut) {
  const TempDir dir;
  {
    LogWriter log(dir / "log", {}, GetParam());
    log.write(Stream::kStdout, "one\ntwo\n", kNoon);
  }
  fs::resize_file(dir / "log", fs::file_size(dir / "log") - 5);
  LogWriter log(dir / "log", {}, GetParam());
  log.write(Stream::kStdout, "three\nfour\n", kNoon);
  const Lines lines = read_log(dir / "log", {}, GetParam());
  ASSERT_GE(lines.size(), 2U);
  EXPECT_EQ(lines.front(), "O:one\n");
  EXPECT_EQ(lines.back(), "O:four\n");
}

TEST_P(LogFormats, AreFollowedThroughRotationsUntilTheWriterEnds) {
  const TempDir dir;
  const fs::path path = dir / "log";
  const pid_t writer = fork();
  ASSERT_GE(writer, 0);
  if (writer == 0) {
    LogWriter log(path, {.max_size = 2000, .max_files = 3}, GetParam());
    for (int i = 0; i < 3000; ++i) {
      log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
      if (i % 10 == 0) usleep(1000);
    }
    log.finish(kNoon);
    _exit(0);
  }
  const auto pidfd = base::open_process(*base::find_process(writer));
  ASSERT_TRUE(pidfd.has_value());
  std::string text;
  LogReader reader(path, GetParam(), {.follow = true},
                   [&](bool, std::string_view lines) { text += lines; });
  reader.follow(pidfd->get());
  base::wait_for_child(writer);
  std::string expected;
  for (int i = 0; i < 3000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(text, expected);
}

// Until the trail's thread has opened the newest file, which nobody else has open.
void wait_for_newest(const fs::path& path) {
  const auto is_open = [&] {
    return std::any_of(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator(),
                       [&](const auto& entry) {
                         std::error_code gone;
                         return fs::read_symlink(entry.path(), gone) == path;
                       });
  };
  for (int i = 0; i < 5000 && !is_open(); ++i) usleep(1000);
  ASSERT_TRUE(is_open());
}

TEST(LogTrail, HoldsWhatWasRotatedAwayUnread) {
  const TempDir dir;
  const fs::path path = dir / "log";
  LogTrail trail(path, {});
  trail.start(-1);
  EXPECT_FALSE(trail.take_next().file);
  {
    LogWriter log(path, {.max_size = 100, .max_files = 1}, LogFormat::kJson);
    for (int i = 0; i < 50; ++i) log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
  }
  wait_for_newest(path);
  std::string text;
  for (;;) {
    const LogTrail::Next next = trail.take_next();
    if (!next.file) break;
    EXPECT_EQ(next.lost_bytes, 0U);
    text += base::read_fd(next.file.get());
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_NE(text.find("\"" + std::to_string(i) + "\\n\""), std::string::npos) << i;
  }
}

TEST(LogTrail, GivesUpTheOldestAndSaysHowMuch) {
  const TempDir dir;
  const fs::path path = dir / "log";
  LogTrail trail(path, {.files = 2});
  trail.start(-1);
  std::uint64_t written = 0;
  {
    LogWriter log(path, {.max_size = 100, .max_files = 1}, LogFormat::kJson);
    for (int i = 100; i < 150; ++i) {
      log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
      if (i == 100) written = fs::file_size(path);
    }
  }
  wait_for_newest(path);
  const LogTrail::Next first = trail.take_next();
  const LogTrail::Next last = trail.take_next();
  EXPECT_EQ(first.lost_bytes, 48 * written);
  EXPECT_EQ(last.lost_bytes, 0U);
  EXPECT_NE(base::read_fd(last.file.get()).find("149"), std::string::npos);
  EXPECT_FALSE(trail.take_next().file);
}

TEST(LogTrail, LeavesAsMuchSpaceAsItHolds) {
  const TempDir dir;
  const fs::path path = dir / "log";
  LogTrail trail(path, {.free_times_held = 1ULL << 50U});  // so nothing may be held
  trail.start(-1);
  {
    LogWriter log(path, {.max_size = 100, .max_files = 1}, LogFormat::kJson);
    for (int i = 100; i < 150; ++i) {
      log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
    }
  }
  wait_for_newest(path);
  const LogTrail::Next only = trail.take_next();
  EXPECT_GT(only.lost_bytes, 0U);
  EXPECT_NE(base::read_fd(only.file.get()).find("149"), std::string::npos);
  EXPECT_FALSE(trail.take_next().file);
}

TEST(LogLocal, IsWhatDockerWritesAndReads) {
  std::string record;
  append_local_record(record, "hi\n", Stream::kStdout, 1'795'348'704'138'225'636);
  // Written by docker 28 for the same line.
  const std::string dockers(
      "\x00\x00\x00\x16\x0a\x06stdout\x10\xe4\x8f\x91\x80\x9d\x84\x97\xf5\x18\x1a\x02hi\x00\x00"
      "\x00\x16",
      30);
  LogEntry entry;
  bool valid = false;
  EXPECT_EQ(LogDecoder(LogFormat::kLocal).take(dockers, entry, valid), dockers.size());
  EXPECT_TRUE(valid);
  EXPECT_EQ(entry.text, "hi\n");
  EXPECT_FALSE(entry.is_stderr);
  record.clear();
  append_local_record(record, "hi\n", Stream::kStdout, entry.time);
  EXPECT_EQ(record, dockers);
}

TEST(LogLocal, GarbageIsPassedOverAndHarmsNobody) {
  std::string good;
  append_local_record(good, "good\n", Stream::kStdout, kNoon);
  LogEntry entry;
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    bool valid = true;
    EXPECT_EQ(LogDecoder(LogFormat::kLocal).take(good.substr(0, cut), entry, valid), 0U);
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const int byte : {0, 1, 127, 255}) {
      std::string bad = good + good;
      bad[i] = static_cast<char>(byte);
      bool valid = false;
      EXPECT_LE(LogDecoder(LogFormat::kLocal).take(bad, entry, valid), bad.size());
    }
  }
}

TEST(LogJson, AttributesStandInEachLineAndItIsStillRead) {
  std::string line;
  append_json_record(line, "x\n", Stream::kStderr, R"({"a":"},\"time\":\"","b":"c"})",
                     "2023-11-14T22:13:20Z");
  const auto entry = parse_log_line(line.substr(0, line.size() - 1));
  ASSERT_TRUE(entry.has_value());
  EXPECT_EQ(entry->text, "x\n");
  EXPECT_EQ(entry->time, kNoon);
  EXPECT_TRUE(entry->is_stderr);
}

TEST(LogFile, RotatedFilesAreCompressedByAnotherProcessAndRead) {
  const TempDir dir;
  LogWriter log(dir / "log", {.max_size = 20'000, .max_files = 4, .compress = true},
                LogFormat::kLocal);
  Lines expected;
  for (int i = 0; i < 2000; ++i) {
    const std::string line = std::to_string(i) + " some text that is always the same\n";
    log.write(Stream::kStdout, line, kNoon);
    expected.push_back("O:" + line);
    for (int wait = 0; log.is_busy() && wait < 2000; ++wait) {
      usleep(2000);
      log.settle();
    }
    ASSERT_FALSE(log.is_busy());
  }
  for (const char* name : {"log.1.gz", "log.2.gz", "log.3.gz"}) {
    EXPECT_TRUE(fs::exists(dir / name)) << name;
    EXPECT_LT(fs::file_size(dir / name), 5000U) << name;
  }
  for (const char* name : {"log.1", "log.2", "log.3", "log.4.gz", "log.gz-partial"}) {
    EXPECT_FALSE(fs::exists(dir / name)) << name;
  }
  const Lines lines = read_log(dir / "log", {}, LogFormat::kLocal);
  ASSERT_GT(lines.size(), 800U);
  EXPECT_TRUE(std::equal(lines.rbegin(), lines.rend(), expected.rbegin()));
  EXPECT_EQ(read_log(dir / "log", {.tail = 700}, LogFormat::kLocal),
            Lines(expected.end() - 700, expected.end()));
}

TEST(LogFile, WhatIsFollowedIsNotCompressedUnderItsReader) {
  const TempDir dir;
  LogWriter log(dir / "log", {.max_size = 2000, .max_files = 5, .compress = true});
  log.write(Stream::kStdout, "held\n", kNoon);
  const base::UniqueFd held = base::open_file(dir / "log", O_RDONLY);
  ASSERT_EQ(flock(held.get(), LOCK_SH), 0);
  for (int i = 0; i < 100; ++i) log.write(Stream::kStdout, "some more\n", kNoon);
  int number = 0;
  for (; number < 5 && !fs::exists(rotated_log(dir / "log", number)); ++number) {
  }
  EXPECT_FALSE(fs::exists(compressed_log(dir / "log", 4)));
  bool is_there = false;
  for (int i = 0; i < 5; ++i) {
    std::error_code ignored;
    is_there = is_there || fs::hard_link_count(rotated_log(dir / "log", i), ignored) == 1;
  }
  EXPECT_TRUE(is_there);
  struct stat info = {};
  ASSERT_EQ(fstat(held.get(), &info), 0);
  EXPECT_EQ(info.st_nlink, 1U);  // it still has its name
}

TEST(LogFile, AFollowerThatStandsStillIsWaitedForOnceAndNotForEver) {
  const TempDir dir;
  const base::UniqueFd folder = base::open_file(dir.path(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(flock(folder.get(), LOCK_SH), 0);  // as one that never opens the newest file
  const base::Nanoseconds start = base::now();
  LogWriter log(dir / "log", {.max_size = 1000, .max_files = 3});
  for (int i = 0; i < 500; ++i) log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
  EXPECT_LT(base::now() - start, 5'000'000'000);
  EXPECT_EQ(read_log(dir / "log").back(), "O:499\n");
}

// A stand-in for systemd's journal.
class JournalTest : public ::testing::Test {
 protected:
  JournalTest() : socket_(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = dir_ / "socket";
    std::copy(path.begin(), path.end(), address.sun_path);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  std::string receive() {
    std::string message(65536, '\0');
    const ssize_t count = recv(socket_.get(), message.data(), message.size(), MSG_DONTWAIT);
    message.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return message;
  }

  TempDir dir_;
  base::UniqueFd socket_;
};

TEST_F(JournalTest, HasDockersFieldsAndComesBackAsItWas) {
  LogWriter log(std::make_unique<LogJournal>(dir_ / "socket", "CONTAINER_ID_FULL=abc\n"));
  log.write(Stream::kStderr, "one\nno end", kNoon);
  log.finish(kNoon);
  const std::string first = receive();
  EXPECT_NE(first.find("MESSAGE=one\nPRIORITY=3\n"), std::string::npos) << first;
  EXPECT_NE(first.find("CONTAINER_ID_FULL=abc\n"), std::string::npos) << first;
  const std::string second = receive();
  EXPECT_NE(second.find("CONTAINER_PARTIAL_MESSAGE=true\n"), std::string::npos) << second;
  LogEntry entry;
  std::string cursor;
  bool valid = false;
  const std::string exported = "__CURSOR=c1\n" + first + "\n";
  EXPECT_EQ(take_journal_entry(exported, entry, cursor, valid), exported.size());
  EXPECT_TRUE(valid);
  EXPECT_TRUE(entry.is_stderr);
  EXPECT_EQ(entry.text, "one\n");
  EXPECT_EQ(entry.time, kNoon);
  EXPECT_EQ(cursor, "c1");
  EXPECT_EQ(take_journal_entry(exported.substr(0, exported.size() - 1), entry, cursor, valid), 0U);
}

TEST_F(JournalTest, AValueWithANewlineIsFramedByItsLength) {
  std::string field;
  append_journal_field(field, "A", "x\ny");
  EXPECT_EQ(field, std::string("A\n\x03\0\0\0\0\0\0\0x\ny\n", 14));
  LogEntry entry;
  std::string cursor;
  bool valid = false;
  std::string message;
  append_journal_field(message, "MESSAGE", "x\ny");
  message += "\n";
  EXPECT_EQ(take_journal_entry(message, entry, cursor, valid), message.size());
  EXPECT_EQ(entry.text, "x\ny\n");
}

TEST_F(JournalTest, OneThatDoesNotListenLosesLinesAndNothingElse) {
  LogWriter log(std::make_unique<LogJournal>(dir_ / "socket", ""));
  const base::Nanoseconds start = base::now();
  for (int i = 0; i < 5000; ++i) log.write(Stream::kStdout, "x\n", kNoon);
  EXPECT_GT(log.lost_lines(), 0U);
  EXPECT_LT(base::now() - start, 10'000'000'000);
  LogWriter nobody(std::make_unique<LogJournal>(dir_ / "none", ""));
  nobody.write(Stream::kStdout, "x\n", kNoon);
  EXPECT_EQ(nobody.lost_lines(), 1U);
}

LogPlan plan(const std::string& driver, std::map<std::string, std::string> log_options) {
  ContainerOptions options;
  options.log_driver = driver;
  options.log_options = std::move(log_options);
  options.labels = {{"a", "b"}, {"com.x", "d"}};
  return plan_log(options, {.id = std::string(64, 'a'),
                            .name = "web",
                            .image_id = "sha256:1234567",
                            .image_name = "busybox",
                            .command = "echo hi",
                            .env = {"QQ=1", "PATH=/bin"}});
}

TEST(LogPlan, HasDockersOptionsAndWords) {
  EXPECT_EQ(plan("json-file", {}).limits.max_size, 20U << 20U);  // a bound of our own
  EXPECT_EQ(plan("json-file", {}).limits.max_files, 5);
  EXPECT_FALSE(plan("json-file", {}).limits.compress);
  EXPECT_TRUE(plan("local", {}).limits.compress);
  EXPECT_FALSE(plan("local", {{"compress", "false"}, {"max-file", "1"}}).limits.compress);
  const LogPlan chosen =
      plan("json-file", {{"tag", "{{.Name}}/{{.ID}}/{{.ImageName}}/{{.Command}}/{{.ImageID}}"},
                         {"labels", "a,zz"},
                         {"labels-regex", "^com"},
                         {"env", "HOME,QQ"}});
  EXPECT_EQ(chosen.tag, "web/aaaaaaaaaaaa/busybox/echo hi/sha256:12345");
  EXPECT_EQ(render_details(chosen),
            "QQ=1,a=b,com.x=d,tag=web%2Faaaaaaaaaaaa%2Fbusybox%2Fecho+hi%2Fsha256%3A12345");
}

// As docker 28 says it, but for "failed to initialize logging driver: ".
TEST(LogPlan, RefusesWhatDockerRefuses) {
  using Options = std::map<std::string, std::string>;
  const std::tuple<const char*, Options, const char*> cases[] = {
      {"xx", {}, "no log driver named 'xx'"},
      {"json-file", {{"foo", "x"}}, "unknown log opt 'foo' for json-file log driver"},
      {"local", {{"labels", "x"}}, "unknown log opt 'labels' for log driver local"},
      {"journald", {{"max-size", "1k"}}, "unknown log opt 'max-size' for journald log driver"},
      {"none", {{"max-size", "1k"}}, "invalid logging opts for driver none"},
      {"local", {{"max-file", "1"}}, "compression cannot be enabled when max file count is 1"},
      {"json-file", {{"compress", "true"}, {"max-size", "1k"}}, "compress cannot be true when"},
      {"json-file", {{"compress", "maybe"}}, "parsing \"maybe\": invalid syntax"},
      {"json-file", {{"mode", "bad"}}, "logging mode not supported: bad"},
      {"json-file", {{"max-size", "x"}}, "x"},
      {"json-file", {{"max-size", "0"}}, "max-size must be a positive number"},
      {"json-file", {{"max-file", "0"}}, "max-file cannot be less than 1"},
      {"json-file", {{"tag", "{{.Bad}}"}}, "Bad"},
      {"json-file", {{"env-regex", "("}}, "error parsing regexp"}};
  for (const auto& [driver, options, words] : cases) {
    SCOPED_TRACE(words);
    try {
      plan(driver, options);
      ADD_FAILURE() << "not refused";
    } catch (const base::Error& error) {
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
    }
  }
}

TEST(LogLimits, AreDockersWithABoundOfOurOwn) {
  const auto parse = [](std::string_view size, std::string_view files) {
    return parse_log_limits(LogDriver::kJsonFile, size, files);
  };
  EXPECT_EQ(parse("10k", "").max_size, 10240U);
  EXPECT_EQ(parse("10k", "").max_files, 1);
  EXPECT_EQ(parse("10k", "3").max_files, 3);
  EXPECT_EQ(parse_log_limits(LogDriver::kLocal, "10k", "").max_files, 5);
}

}  // namespace
}  // namespace engine
