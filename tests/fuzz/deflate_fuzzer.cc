// Bytes as a gzip stream: refused, or followed and made again just so. Bytes as a record: something
// comes out or is refused.
#include <string>
#include <zlib.h>

#include "storage/pack/deflate/analyzer.h"
#include "storage/pack/deflate/rebuilder.h"
#include "tests/fuzz/check.h"

namespace {

constexpr std::size_t kMostBytes = 4U << 20U;

storage::BitReader::Source read_text(std::string_view bytes) {
  return [bytes, at = std::size_t{0}](char* buffer, std::size_t size) mutable {
    const std::size_t count = bytes.copy(buffer, size, at);
    at += count;
    return count;
  };
}

// One member, as zlib inflates it; empty where zlib refuses it.
std::string inflate_member(std::string_view bytes) {
  z_stream stream = {};
  FUZZ_CHECK(inflateInit2(&stream, 31) == Z_OK);
  std::string plain(kMostBytes, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(plain.data());
  stream.avail_out = static_cast<uInt>(plain.size());
  const int status = inflate(&stream, Z_FINISH);
  plain.resize(status == Z_STREAM_END && stream.avail_in == 0 ? stream.total_out : 0);
  inflateEnd(&stream);
  return plain;
}

template <class Action>
void refuse_or(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    FUZZ_CHECK(error.kind() == base::ErrorKind::kCorrupt ||
               error.kind() == base::ErrorKind::kUnsupported);
  }
}

std::string rebuild(std::string_view record, std::string_view plain) {
  std::string out;
  storage::DeflateRebuilder rebuilder(record, [&](std::string_view bytes) {
    out += bytes;
    if (out.size() > 16 * kMostBytes) throw base::Error(base::ErrorKind::kCorrupt, "enough");
  });
  rebuilder.write(plain);
  rebuilder.finish();
  return out;
}

void follow(storage::EncoderChoice choice, std::string_view stream, std::string_view plain) {
  std::string record;
  refuse_or([&] {
    const auto survey = storage::survey_stream(read_text(stream));
    storage::DeflateAnalyzer analyzer(choice, survey, read_text(stream));
    analyzer.write(plain);
    record = analyzer.finish();
  });
  if (!record.empty()) FUZZ_CHECK(rebuild(record, plain) == stream);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  using Kind = storage::EncoderChoice::Kind;
  constexpr storage::EncoderChoice kChoices[] = {{Kind::kGo, 6}, {Kind::kGo, 1}, {Kind::kPgzip, 5}};
  const storage::EncoderChoice choice = kChoices[data[0] % 3];
  const std::string_view bytes = text_of(data + 1, size - 1);
  if (data[0] >= 128) {
    const std::string head = std::string(storage::kRecordMagic) + static_cast<char>(choice.kind) +
                             static_cast<char>(choice.level);
    const std::string plain = std::string(bytes) + std::string(70'000, 'x') + std::string(bytes);
    refuse_or([&] { rebuild(head + std::string(bytes), plain); });
    return 0;
  }
  refuse_or([&] { storage::survey_stream(read_text(bytes)); });
  const std::string plain = inflate_member(bytes);
  if (!plain.empty()) follow(choice, bytes, plain);
  return 0;
}
