#include "storage/pack/record_reader.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <fcntl.h>
#include <new>
#include <unistd.h>
#include <vector>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/unique_fd.h"

namespace storage {
namespace {

constexpr std::size_t kInflatedBytes = 128U << 10U;
constexpr std::uint64_t kMaxPathBytes = 1U << 20U;

[[noreturn]] void throw_damaged() {
  throw base::Error(base::ErrorKind::kCorrupt, "the layer's tar record is damaged");
}

base::UniqueFd open_record(const std::filesystem::path& file) {
  base::UniqueFd fd(open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd && errno != ENOENT) base::throw_errno(file.string());
  if (!fd) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "the layer has no tar record: it was unpacked by an older sampan; remove the "
                      "image and pull it again");
  }
  return fd;
}

}  // namespace

struct RecordReader::Stream {
  explicit Stream(const std::filesystem::path& file)
      : fd(open_record(file)), context(ZSTD_createDCtx()) {
    if (!context) throw std::bad_alloc();
    std::string magic(kTarRecordMagic.size(), '\0');
    const ssize_t count = read(fd.get(), magic.data(), magic.size());
    if (count != static_cast<ssize_t>(magic.size()) || magic != kTarRecordMagic) throw_damaged();
  }

  // What is inflated and not yet taken; inflates more where that is nothing.
  std::string_view peek() {
    while (taken == filled) {
      taken = 0;
      if (in.pos == in.size && !more_input()) throw_damaged();
      ZSTD_outBuffer out = {output.data(), output.size(), 0};
      if (ZSTD_isError(ZSTD_decompressStream(context.get(), &out, &in)) != 0) throw_damaged();
      filled = out.pos;
    }
    return std::string_view(output.data(), filled).substr(taken);
  }

  bool more_input() {
    const ssize_t count = base::check(read(fd.get(), input.data(), input.size()), "read record");
    in = {input.data(), static_cast<std::size_t>(count), 0};
    return count > 0;
  }

  base::UniqueFd fd;
  base::CHandle<ZSTD_DCtx, ZSTD_freeDCtx> context;
  std::vector<char> input = std::vector<char>(kInflatedBytes);
  std::vector<char> output = std::vector<char>(kInflatedBytes);
  ZSTD_inBuffer in = {nullptr, 0, 0};
  std::size_t filled = 0, taken = 0;
};

RecordReader::RecordReader(const std::filesystem::path& file)
    : stream_(std::make_unique<Stream>(file)) {}

RecordReader::~RecordReader() = default;

std::uint64_t RecordReader::number() {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(stream_->peek().front());
    ++stream_->taken;
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << shift;
    if ((byte & 0x80U) == 0) return value;
  }
  throw_damaged();
}

std::string RecordReader::text() {
  std::uint64_t left = number();
  if (left > kMaxPathBytes) throw_damaged();
  std::string text;
  while (left > 0) {
    const std::string_view bytes = stream_->peek().substr(0, left);
    text += bytes;
    stream_->taken += bytes.size();
    left -= bytes.size();
  }
  return text;
}

std::string_view RecordReader::read_raw() {
  if (raw_left_ == 0) return {};
  const std::string_view bytes = stream_->peek().substr(0, raw_left_);
  stream_->taken += bytes.size();
  raw_left_ -= bytes.size();
  return bytes;
}

RecordStep RecordReader::next() {
  assert(raw_left_ == 0);
  RecordStep step;
  const auto code = static_cast<unsigned char>(stream_->peek().front());
  ++stream_->taken;
  step.operation = static_cast<TarOperation>(code);
  switch (step.operation) {
    case TarOperation::kRaw:
      step.size = raw_left_ = number();
      return step;
    case TarOperation::kFile:
      path_ = text();
      [[fallthrough]];
    case TarOperation::kSameFile:
      step.path = path_;
      step.offset = number();
      step.size = number();
      return step;
    case TarOperation::kReplaced:
      step.path = text();
      return step;
    case TarOperation::kEnd:
      step.size = number();
      return step;
  }
  throw_damaged();
}

}  // namespace storage
