#include "base/sha256.h"
#include "storage/pack/deflate/analyzer.h"
#include "storage/pack/deflate/rebuilder.h"
#include "tests/storage/deflate_support.h"
#include "tests/storage/unpack_support.h"

namespace storage_test {
namespace {

using base::ErrorKind;
using Kind = storage::EncoderChoice::Kind;

std::string make_record(storage::EncoderChoice choice, const std::string& plain,
                        const std::string& stream) {
  const storage::StreamSurvey survey = storage::survey_stream(read_string(stream));
  storage::DeflateAnalyzer analyzer(choice, survey, read_string(stream));
  for (std::size_t at = 0; at < plain.size(); at += 77'777) {
    analyzer.write(std::string_view(plain).substr(at, 77'777));
  }
  return analyzer.finish();
}

std::string rebuild(const std::string& record, const std::string& plain) {
  std::string out;
  storage::DeflateRebuilder rebuilder(record, [&](std::string_view bytes) { out += bytes; });
  for (std::size_t at = 0; at < plain.size(); at += 50'001) {
    rebuilder.write(std::string_view(plain).substr(at, 50'001));
  }
  rebuilder.finish();
  return out;
}

void expect_rebuilt(storage::EncoderChoice choice, const std::string& plain,
                    const std::string& stream) {
  SCOPED_TRACE(storage::render_encoder(choice));
  EXPECT_TRUE(rebuild(make_record(choice, plain, stream), plain) == stream);
}

storage::RecordRequest request_of(const std::string& plain, const std::string& stream) {
  return {.open_stream = [&stream] { return read_string(stream); },
          .stream_size = stream.size(),
          .write_plain = [&plain](const auto& sink) { sink(plain); }};
}

TEST(DeflateRecord, FollowsBlocksOfAllTypes) {
  const std::string plain = varied_text().substr(1'180'000, 200'000);
  for (const ZlibOptions& options :
       {ZlibOptions{.level = 0}, ZlibOptions{.level = 9}, ZlibOptions{.strategy = Z_FIXED},
        ZlibOptions{.strategy = Z_HUFFMAN_ONLY}, ZlibOptions{.strategy = Z_RLE},
        ZlibOptions{.flush_every = 70'000}}) {
    const std::string stream = zlib_stream(plain, options);
    for (const storage::EncoderChoice choice :
         {storage::EncoderChoice{Kind::kGo, 6}, storage::EncoderChoice{Kind::kGo, 1},
          storage::EncoderChoice{Kind::kGo, 2}, storage::EncoderChoice{Kind::kPgzip, 5},
          storage::EncoderChoice{Kind::kKlauspost, 5}}) {
      expect_rebuilt(choice, plain, stream);
    }
  }
}

TEST(DeflateRecord, FollowsEveryEncoder) {
  const std::string plain = prose(40'000);
  const std::string stream = zlib_stream(plain);
  for (const storage::EncoderChoice choice : storage::known_encoders()) {
    expect_rebuilt(choice, plain, stream);
  }
}

TEST(DeflateRecord, FollowsMembersAndWhatIsBehindThem) {
  const std::string plain = prose(60'000);
  std::string stream;
  for (std::size_t at = 0; at < plain.size(); at += 25'000) {
    stream += zlib_stream(plain.substr(at, 25'000));
  }
  stream += zlib_stream("") + std::string(500, '\0');
  for (const Kind kind : {Kind::kGo, Kind::kPgzip}) {
    expect_rebuilt({kind, static_cast<std::uint8_t>(kind == Kind::kGo ? 6 : 5)}, plain, stream);
  }
  expect_rebuilt({Kind::kGo, 6}, "", zlib_stream(""));
  expect_rebuilt({Kind::kGo, 1}, "x", zlib_stream("x"));
}

TEST(DeflateRecord, KeepsOddHeadersTrailersAndPadding) {
  const std::string plain = prose(5'000);
  std::string stream = zlib_stream(plain);
  stream[stream.size() - 1] = 'x';  // the size is wrong
  stream[stream.size() - 8] = 'y';  // so is the checksum
  expect_rebuilt({Kind::kGo, 6}, plain, stream);
  // FEXTRA, FNAME, FCOMMENT and FHCRC.
  const std::string head("\x1f\x8b\x08\x1e\1\2\3\4\2\3\3\0abcname\0comment\0hc", 30);
  expect_rebuilt({Kind::kGo, 6}, plain, head + stream.substr(10));
  // A stored block whose unused bits are set.
  std::string stored = zlib_stream("abc", {.level = 0});
  stored[10] = static_cast<char>(stored[10] | 0xA8);
  expect_rebuilt({Kind::kGo, 6}, "abc", stored);
}

// What Go 1.19 and klauspost/compress 1.15 made of varied_text(), by the digest of all of it, and
// the records it had. They stay readable, and an encoder that changes is seen.
struct Golden {
  storage::EncoderChoice encoder;
  const char* digest;
  const char* record;  // what follows the head, in hexadecimal
};
constexpr Golden kGolden[] = {
#include "tests/storage/deflate_golden.inc"
};

std::string from_hex(std::string_view text) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

std::string record_of(const Golden& golden) {
  return std::string(storage::kRecordMagic) + static_cast<char>(golden.encoder.kind) +
         static_cast<char>(golden.encoder.level) + from_hex(golden.record);
}

TEST(DeflateRecord, MakesWhatGoMade) {
  const std::string plain = varied_text();
  for (const Golden& golden : kGolden) {
    SCOPED_TRACE(storage::render_encoder(golden.encoder));
    const std::string record = record_of(golden);
    const std::string stream = rebuild(record, plain);
    EXPECT_EQ(base::sha256_hex(stream), golden.digest);
    EXPECT_TRUE(make_record(golden.encoder, plain, stream) == record);
  }
}

TEST(DeflateRecord, FindsTheEncoder) {
  const std::string plain = varied_text();
  for (const Golden& golden : kGolden) {
    if (golden.encoder.level < 5) continue;
    const std::string record = record_of(golden);
    const std::string stream = rebuild(record, plain);
    const auto found = storage::find_record(request_of(plain, stream));
    ASSERT_TRUE(found);
    EXPECT_EQ(storage::render_encoder(found->encoder), storage::render_encoder(golden.encoder));
    EXPECT_TRUE(found->bytes == record);
    break;
  }
}

TEST(DeflateRecord, IsNotMadeForWhatNobodyKnows) {
  const std::string plain = varied_text();
  const std::string stream = zlib_stream(plain, {.level = 1});
  const auto found = storage::find_record(request_of(plain, stream));
  EXPECT_TRUE(!found || found->bytes.size() <= stream.size() / 20);
  EXPECT_FALSE(storage::find_record(request_of(plain, plain)));
  const std::string small = zlib_stream(prose(3'000));
  EXPECT_EQ(error_of([&] { storage::find_record(request_of(prose(3'001) + "x", small)); }).first,
            ErrorKind::kCorrupt);
}

TEST(DeflateRecord, RefusesDamagedStreams) {
  const std::string plain = prose(20'000);
  const std::string stream = zlib_stream(plain);
  for (std::size_t size = 0; size < stream.size(); size += 1 + size / 30) {
    const std::string cut = stream.substr(0, size);
    try {
      const auto survey = storage::survey_stream(read_string(cut));
      EXPECT_TRUE(survey.segments.empty()) << size;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    }
  }
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = stream;
    damaged[10 + random() % (stream.size() - 10)] ^= static_cast<char>(1U << random() % 8);
    try {
      EXPECT_TRUE(rebuild(make_record({Kind::kGo, 6}, plain, damaged), plain) != stream);
    } catch (const base::Error& error) {
      EXPECT_TRUE(error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kUnsupported);
    }
  }
}

TEST(DeflateRecord, SurvivesDamagedRecords) {
  const std::string plain = prose(20'000);
  const std::string stream = zlib_stream(plain);
  const std::string record = make_record({Kind::kGo, 6}, plain, stream);
  EXPECT_EQ(error_of([&] { rebuild("something else", plain); }).first, ErrorKind::kCorrupt);
  EXPECT_EQ(error_of([&] { rebuild("", plain); }).first, ErrorKind::kCorrupt);
  std::string newer = record;
  newer[storage::kRecordMagic.size()] = 99;
  EXPECT_EQ(error_of([&] { rebuild(newer, plain); }).first, ErrorKind::kUnsupported);
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) {
    std::string damaged = record;
    damaged[storage::kRecordMagic.size() + 2 + random() % 200] ^=
        static_cast<char>(1U << random() % 8);
    try {
      rebuild(damaged, plain);  // something else comes out, or the same where the byte is padding
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    }
  }
  EXPECT_EQ(error_of([&] { rebuild(record, plain + "more"); }).first, ErrorKind::kCorrupt);
  EXPECT_EQ(error_of([&] { rebuild(record, plain.substr(1)); }).first, ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace storage_test
