// Every way in which layers are compressed, and every way in which that can be broken.
#include <algorithm>
#include <vector>
#include <zstd.h>

#include <gtest/gtest.h>
#include <isa-l/crc.h>
#include <isa-l/igzip_lib.h>

#include "base/error.h"
#include "storage/unpack/inflater.h"
#include "tests/storage/unpack_support.h"

namespace storage_test {

namespace {

using base::ErrorKind;

class Collector : public storage::InflateOutput {
 public:
  explicit Collector(std::size_t block) : block_(block) {}
  std::span<char> space() override { return block_; }
  void produce(std::size_t size) override { text.append(block_.data(), size); }
  std::string text;

 private:
  std::vector<char> block_;
};

std::string inflate(std::string_view blob, std::size_t piece = 65536, std::size_t block = 65536) {
  storage::Inflater inflater;
  Collector output(block);
  for (std::size_t at = 0; at < blob.size(); at += piece) {
    inflater.write(blob.substr(at, piece), output);
  }
  inflater.finish(output);
  return output.text;
}

std::string sample(std::size_t size) {
  std::string text;
  std::uint32_t state = 12345;
  while (text.size() < size) {
    state = state * 1664525U + 1013904223U;
    text += state % 3 == 0 ? "the same words again " : std::to_string(state);
  }
  text.resize(size);
  return text;
}

std::string skippable_frame() {
  using namespace std::string_literals;
  return "\x53\x2a\x4d\x18\x05\x00\x00\x00"s + "hello";
}

TEST(Inflater, UndoesEachCompressionInPiecesOfAnySize) {
  const std::string text = sample(60'000);
  const std::string blobs[] = {text, gzip(text), zstd(text)};
  for (const std::string& blob : blobs) {
    for (const std::size_t piece : {1UL, 2UL, 3UL, 7UL, 511UL, 65536UL, 1UL << 20U}) {
      for (const std::size_t block : {100UL, 4096UL, 1UL << 20U}) {
        ASSERT_EQ(inflate(blob, piece, block), text) << piece << " " << block;
      }
    }
  }
}

TEST(Inflater, TakesMembersAndFramesOneAfterTheOther) {
  const std::string a = sample(100'000), b = sample(70'001), c;
  for (const std::size_t piece : {1UL, 13UL, 65536UL}) {
    EXPECT_EQ(inflate(gzip(a) + gzip(b) + gzip(c) + gzip(a), piece), a + b + a);
    EXPECT_EQ(inflate(skippable_frame() + zstd(a) + skippable_frame() + zstd(b), piece), a + b);
  }
}

TEST(Inflater, TakesGzipHeadersWithAllFieldsInPieces) {
  // RFC 1952, section 2.3: FHCRC, FEXTRA, FNAME and FCOMMENT set.
  using namespace std::string_literals;
  const std::string text = sample(5000), plain = gzip(text);
  std::string header =
      "\x1f\x8b\x08\x1e\0\0\0\0\0\xff"s + "\x05\0extra"s + "layer.tar\0"s + "why\0"s;
  const std::uint32_t checksum =
      crc32_gzip_refl(0, reinterpret_cast<const std::uint8_t*>(header.data()), header.size());
  header += static_cast<char>(checksum & 0xffU);
  header += static_cast<char>((checksum >> 8U) & 0xffU);
  const std::string member = header + plain.substr(10);
  for (std::size_t piece = 1; piece < 50; ++piece) {
    ASSERT_EQ(inflate(member + member, piece), text + text) << piece;
  }
}

TEST(Inflater, IgnoresWhatFollowsTheLastGzipMember) {
  using namespace std::string_literals;
  const std::string text = sample(5000);
  for (const std::string& rest : {"\0"s, std::string(4096, '\0'), "\x1f"s, "\x1f\x00"s, "junk"s}) {
    for (const std::size_t piece : {1UL, 65536UL}) {
      EXPECT_EQ(inflate(gzip(text) + rest, piece), text);
    }
  }
}

TEST(Inflater, TakesEmptyInput) {
  EXPECT_EQ(inflate(""), "");
  EXPECT_EQ(inflate("abc"), "abc");  // shorter than any magic
  EXPECT_EQ(inflate("BZh"), "BZh");
  EXPECT_EQ(inflate(gzip("")), "");
  EXPECT_EQ(inflate(zstd("")), "");
}

TEST(Inflater, RefusesDamage) {
  const std::string text = sample(200'000);
  for (const std::string& blob : {gzip(text), zstd(text)}) {
    for (const std::size_t size : {std::size_t{7}, blob.size() / 2, blob.size() - 1}) {
      EXPECT_EQ(error_of([&] { inflate(blob.substr(0, size)); }).first, ErrorKind::kCorrupt)
          << size << " of " << blob.size();
    }
  }
  std::string wrong = gzip(text);
  wrong[wrong.size() - 6] ^= 1;  // in the checksum
  EXPECT_EQ(error_of([&] { inflate(wrong); }).first, ErrorKind::kCorrupt);
  wrong = gzip(text);
  wrong[wrong.size() / 2] ^= 0x55;
  EXPECT_EQ(error_of([&] { inflate(wrong); }).first, ErrorKind::kCorrupt);
  EXPECT_EQ(error_of([&] { inflate(gzip(text) + "\x1f\x8b garbage garbage"); }).first,
            ErrorKind::kCorrupt);
  EXPECT_EQ(error_of([&] { inflate(zstd(text) + "garbage"); }).first, ErrorKind::kCorrupt);
}

TEST(Inflater, DoesNotLookAtAFrameInAnotherWayWhereItIsWhole) {
  // Its header promises 383 bytes (RFC 8878, section 3.1.1.1.4), its only block has none.
  using namespace std::string_literals;
  const std::string frame = "\x28\xb5\x2f\xfd\x42\x5a\0\0\x7f\0\x01\0\0"s;
  EXPECT_EQ(inflate(frame, 1), inflate(frame, frame.size()));
}

TEST(Inflater, RefusesWindowsThatAreMemoryBombs) {
  // A frame header (RFC 8878, section 3.1.1.1) that asks for a window of 2 GiB.
  using namespace std::string_literals;
  const std::string frame = "\x28\xb5\x2f\xfd\x00\xa8"s + "\x01\x00\x00"s;
  EXPECT_EQ(error_of([&] { inflate(frame); }).first, ErrorKind::kUnsupported);
}

TEST(Inflater, NamesCompressionsItDoesNotKnow) {
  using namespace std::string_literals;
  EXPECT_EQ(error_of([] {
              inflate(
                  "\xfd"
                  "7zXZ\0\0\4"s);
            }).first,
            ErrorKind::kUnsupported);
  EXPECT_EQ(error_of([] { inflate("BZh91AY&SY...."); }).first, ErrorKind::kUnsupported);
}

}  // namespace
}  // namespace storage_test
