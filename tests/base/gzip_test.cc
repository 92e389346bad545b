#include "base/gzip.h"

#include <fcntl.h>
#include <string>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "tests/base/temp_dir.h"

namespace {

class Gzip : public testing::Test {
 protected:
  using Convert = void (*)(int in, int out);

  std::string convert(Convert how, const std::string& bytes) {
    base::write_file(dir_ / "in", bytes);
    const base::UniqueFd in = base::open_file(dir_ / "in", O_RDONLY);
    {
      const base::UniqueFd out = base::open_file(dir_ / "out", O_WRONLY | O_CREAT | O_TRUNC, 0644);
      how(in.get(), out.get());
    }
    return base::read_file(dir_ / "out");
  }
  std::string compress(const std::string& bytes) { return convert(base::compress_gzip, bytes); }
  std::string inflate(const std::string& bytes) { return convert(base::inflate_gzip, bytes); }

  // What is no gzip must be refused, and as what it is.
  void expect_corrupt(const std::string& bytes) {
    try {
      inflate(bytes);
      ADD_FAILURE() << bytes.size() << " bytes were taken";
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kCorrupt) << error.what();
    }
  }

  TempDir dir_;
};

// Lines as a log has them, and in between what no compressor makes smaller.
std::string log_of(std::size_t size) {
  std::string text;
  for (std::size_t line = 0; text.size() < size; ++line) {
    text += "{\"log\":\"line " + std::to_string(line) + "\\n\",\"stream\":\"stdout\"}\n";
    if (line % 64 == 0) text += base::random_hex(32);
  }
  text.resize(size);
  return text;
}

TEST_F(Gzip, ComesBackAsItWas) {
  const std::string every_byte = [] {
    std::string bytes;
    for (int value = 0; value < 256; ++value) bytes.push_back(static_cast<char>(value));
    return bytes;
  }();
  for (const std::string& bytes : {std::string(), std::string("a"), every_byte, log_of(100'000)}) {
    const std::string compressed = compress(bytes);
    EXPECT_EQ(compressed.substr(0, 3), "\x1f\x8b\x08");  // RFC 1952, 2.3
    EXPECT_EQ(inflate(compressed), bytes);
  }
}

// Sizes around the blocks in which it is read and written.
TEST_F(Gzip, BlocksMayEndAnywhere) {
  constexpr std::size_t kBlock = 64U << 10U;
  for (const std::size_t size : {kBlock - 1, kBlock, kBlock + 1, 2 * kBlock}) {
    SCOPED_TRACE(size);
    const std::string random = base::random_hex(size / 2 + 1).substr(0, size);
    EXPECT_EQ(inflate(compress(random)), random);
    // A megabyte of it comes out of a kilobyte: one block read, many written.
    const std::string zeros(size * 16, '\0');
    const std::string compressed = compress(zeros);
    EXPECT_LT(compressed.size(), zeros.size() / 100);
    EXPECT_EQ(inflate(compressed), zeros);
  }
}

TEST_F(Gzip, LargeFiles) {
  const std::string large = log_of(24U << 20U);
  const std::string compressed = compress(large);
  EXPECT_LT(compressed.size(), large.size() / 4);
  EXPECT_TRUE(inflate(compressed) == large);  // not _EQ: it would print both
}

TEST_F(Gzip, StartsWhereTheDescriptorsStand) {
  base::write_file(dir_ / "in", "skipped, kept");
  const base::UniqueFd in = base::open_file(dir_ / "in", O_RDONLY);
  const base::UniqueFd out = base::open_file(dir_ / "out", O_RDWR | O_CREAT, 0644);
  base::write_all(out.get(), "before");
  ASSERT_EQ(lseek(in.get(), 9, SEEK_SET), 9);
  base::compress_gzip(in.get(), out.get());
  const std::string all = base::read_file(dir_ / "out");
  EXPECT_EQ(all.substr(0, 6), "before");
  EXPECT_EQ(inflate(all.substr(6)), "kept");
}

TEST_F(Gzip, CutShortAnywhere) {
  const std::string compressed = compress(log_of(3000));
  for (std::size_t size = 0; size < compressed.size(); ++size) {
    SCOPED_TRACE(size);
    expect_corrupt(compressed.substr(0, size));
  }
  expect_corrupt(compress(log_of(1U << 20U)).substr(0, 90'000));  // in a later block
}

TEST_F(Gzip, Garbage) {
  expect_corrupt("no gzip at all");
  expect_corrupt(std::string(200'000, '\0'));
  expect_corrupt("\x1f\x8b\x09" + std::string(30, '\0'));  // an unknown method
  const std::string text = log_of(3000);
  const std::string compressed = compress(text);
  // Of the data and of the two sums at the end every byte matters, but for bits that fill the last
  // one of the data up.
  int taken = 0;
  for (std::size_t at = 10; at < compressed.size(); ++at) {
    SCOPED_TRACE(at);
    std::string damaged = compressed;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    try {
      EXPECT_EQ(inflate(damaged), text);
      ++taken;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kCorrupt) << error.what();
    }
  }
  EXPECT_LE(taken, 1);
}

TEST_F(Gzip, ADiskThatIsFullIsSaid) {
  base::write_file(dir_ / "in", log_of(1U << 20U));
  const base::UniqueFd full = base::open_file("/dev/full", O_WRONLY);
  const base::UniqueFd in = base::open_file(dir_ / "in", O_RDONLY);
  EXPECT_THROW(base::compress_gzip(in.get(), full.get()), base::Error);
}

}  // namespace
