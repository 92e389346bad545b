#include "storage/pack/deflate/record_search.h"

#include <algorithm>

#include "base/error.h"
#include "storage/pack/deflate/analyzer.h"

namespace storage {
namespace {

constexpr std::size_t kSampleBytes = 1U << 20U;
constexpr std::size_t kMaxRecordBytes = 16U << 20U;
constexpr std::size_t kMinRecordBytes = 4096;  // so much is worth it for the smallest
constexpr unsigned kMaxShare = 20;             // of the stream, in parts
constexpr std::uint64_t kSureShare = 1000;     // with fewer corrections nobody else is asked

struct Enough {};  // never leaves this file

std::string take_sample(const RecordRequest& request) {
  std::string sample;
  try {
    request.write_plain([&](std::string_view bytes) {
      sample += bytes.substr(0, kSampleBytes - sample.size());
      if (sample.size() == kSampleBytes) throw Enough();
    });
  } catch (const Enough&) {  // no more is needed
  }
  return sample;
}

std::size_t size_limit(std::uint64_t stream_size) {
  return std::clamp<std::size_t>(stream_size / kMaxShare, kMinRecordBytes, kMaxRecordBytes);
}

struct Trial {
  EncoderChoice encoder;
  std::size_t record_size = 0;
};

Trial find_best(const RecordRequest& request, const StreamSurvey& survey,
                const std::string& sample) {
  std::optional<Trial> best;
  for (const EncoderChoice choice : known_encoders()) {
    DeflateAnalyzer analyzer(choice, survey, request.open_stream());
    analyzer.write(sample);
    const Trial trial{.encoder = choice, .record_size = analyzer.record_size()};
    if (!best || trial.record_size < best->record_size) best = trial;
    if (analyzer.corrections() * kSureShare <= analyzer.tokens()) return trial;
  }
  return *best;
}

}  // namespace

std::optional<DeflateRecord> find_record(const RecordRequest& request) {
  const StreamSurvey survey = survey_stream(request.open_stream());
  if (survey.segments.empty()) return std::nullopt;
  const std::string sample = take_sample(request);
  const Trial best = find_best(request, survey, sample);
  const std::size_t limit = size_limit(request.stream_size);
  // What is promised by the sample, in proportion, with room for one that is not typical.
  if (best.record_size / 4 > limit) return std::nullopt;
  const std::uint64_t share = sample.size() * limit / std::max<std::uint64_t>(survey.plain_size, 1);
  if (best.record_size / 4 > std::max<std::uint64_t>(share, kMinRecordBytes)) return std::nullopt;
  DeflateAnalyzer analyzer(best.encoder, survey, request.open_stream());
  try {
    request.write_plain([&](std::string_view bytes) {
      analyzer.write(bytes);
      if (analyzer.record_size() > limit) throw Enough();
    });
  } catch (const Enough&) {
    return std::nullopt;
  }
  DeflateRecord record{.encoder = best.encoder, .bytes = analyzer.finish()};
  if (record.bytes.size() > limit) return std::nullopt;
  return record;
}

}  // namespace storage
