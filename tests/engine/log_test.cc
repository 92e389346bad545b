#include <fcntl.h>
#include <sys/stat.h>
#include <thread>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "engine/log_reader.h"
#include "engine/log_writer.h"
#include "tests/base/temp_dir.h"

namespace engine {
namespace {

constexpr base::Nanoseconds kNoon = 1'700'000'000'000'000'000;

std::vector<std::string> read_log(const fs::path& path, LogOptions options = {}) {
  std::vector<std::string> lines;
  LogReader reader(path, options, [&](bool is_stderr, std::string_view line) {
    lines.push_back((is_stderr ? "E:" : "O:") + std::string(line));
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
  const Lines lines = read_log(dir / "log");
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_EQ(lines[0].size(), 2 + LogWriter::kMaxLine - 1);
  EXPECT_EQ(lines[1], "O:\xe2\x82\xac tail\n");
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

TEST(LogReader, FollowsThroughRotationsUntilTheWriterEnds) {
  const TempDir dir;
  const fs::path path = dir / "log";
  const pid_t writer = fork();
  ASSERT_GE(writer, 0);
  if (writer == 0) {
    LogWriter log(path, {.max_size = 2000, .max_files = 50});
    for (int i = 0; i < 300; ++i) {
      log.write(Stream::kStdout, std::to_string(i) + "\n", kNoon);
      if (i % 10 == 0) usleep(1000);
    }
    log.finish(kNoon);
    _exit(0);
  }
  const auto pidfd = base::open_process(*base::find_process(writer));
  ASSERT_TRUE(pidfd.has_value());
  Lines lines;
  LogReader reader(path, {.follow = true},
                   [&](bool, std::string_view line) { lines.emplace_back(line); });
  reader.read_existing();
  reader.follow(pidfd->get());
  base::wait_for_child(writer);
  ASSERT_EQ(lines.size(), 300U);
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(lines[static_cast<std::size_t>(i)], std::to_string(i) + "\n");
  }
}

TEST(LogLimits, AreDockersWithABoundOfOurOwn) {
  EXPECT_EQ(parse_log_limits("", "").max_size, 20U << 20U);
  EXPECT_EQ(parse_log_limits("", "").max_files, 5);
  EXPECT_EQ(parse_log_limits("10k", "").max_size, 10240U);
  EXPECT_EQ(parse_log_limits("10k", "").max_files, 1);
  EXPECT_EQ(parse_log_limits("10k", "3").max_files, 3);
  for (const auto& [size, files] : {std::pair("x", ""), {"0", ""}, {"", "0"}, {"", "x"}}) {
    EXPECT_THROW(parse_log_limits(size, files), base::Error) << size << files;
  }
}

}  // namespace
}  // namespace engine
