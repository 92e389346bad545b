#include "storage/unpack/inflater.h"

#include <algorithm>
#include <cstdint>
#include <new>
#include <utility>
#include <zstd.h>
#include <zstd_errors.h>

#include <isa-l/igzip_lib.h>

#include "base/cleanup.h"
#include "base/error.h"

namespace storage {

struct Inflater::Codec {
  virtual ~Codec() = default;
  virtual void write(std::string_view input, InflateOutput& output) = 0;
  virtual void finish() = 0;
};

namespace {

constexpr int kMaxWindowLog = 27;  // more is a memory bomb; zstd's own limit for `--long`

[[noreturn]] void throw_bad_stream(const std::string& text) {
  throw base::Error(base::ErrorKind::kCorrupt, text);
}

class PlainCodec : public Inflater::Codec {
 public:
  void write(std::string_view input, InflateOutput& output) override {
    while (!input.empty()) {
      const std::span<char> space = output.space();
      const std::size_t count = std::min(space.size(), input.size());
      std::copy_n(input.data(), count, space.data());
      output.produce(count);
      input.remove_prefix(count);
    }
  }
  void finish() override {}
};

// RFC 1952: a file is a series of members. ISA-L stops behind each one.
class GzipCodec : public Inflater::Codec {
 public:
  GzipCodec() { start_member(); }

  void write(std::string_view input, InflateOutput& output) override {
    if (phase_ == Phase::kTrailing) return;
    if (phase_ == Phase::kBetween) {
      magic_ += input;
      if (magic_.size() < 2 && magic_ == kMagic.substr(0, magic_.size())) return;
      const std::string pending = std::exchange(magic_, {});
      if (!pending.starts_with(kMagic)) {
        phase_ = Phase::kTrailing;
        return;
      }
      start_member();
      return inflate(pending, output);
    }
    inflate(input, output);
  }

  void finish() override {
    if (phase_ == Phase::kMember) throw_bad_stream("truncated gzip stream");
  }

 private:
  enum class Phase { kMember, kBetween, kTrailing };
  static constexpr std::string_view kMagic = "\x1f\x8b";

  void start_member() {
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
    isal_gzip_header_init(&header_);
    in_header_ = true;
    phase_ = Phase::kMember;
  }

  // isal_inflate() would read the header too, but forgets its flags where it arrives in pieces.
  int read_header() {
    const int status = isal_read_gzip_header(&state_, &header_);
    in_header_ = status == ISAL_END_INPUT;
    return status;
  }

  void inflate(std::string_view input, InflateOutput& output) {
    state_.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(input.data()));
    state_.avail_in = static_cast<std::uint32_t>(input.size());
    do {
      const std::span<char> space = output.space();
      state_.next_out = reinterpret_cast<std::uint8_t*>(space.data());
      state_.avail_out = static_cast<std::uint32_t>(space.size());
      int status = in_header_ ? read_header() : ISAL_DECOMP_OK;
      if (status == ISAL_DECOMP_OK) status = isal_inflate(&state_);
      if (status < 0 || status > ISAL_END_INPUT) {
        throw_bad_stream(status == ISAL_INCORRECT_CHECKSUM ? "gzip checksum mismatch"
                                                           : "invalid gzip data");
      }
      output.produce(space.size() - state_.avail_out);
      if (state_.block_state == ISAL_BLOCK_FINISH) {
        const std::string_view rest(reinterpret_cast<const char*>(state_.next_in), state_.avail_in);
        phase_ = Phase::kBetween;
        if (!next_member(rest)) return;
      }
    } while (state_.avail_in > 0 || state_.avail_out == 0);
  }

  // Goes on with the member that starts in `rest`; false where there is none (yet).
  bool next_member(std::string_view rest) {
    if (rest.size() < kMagic.size() && rest == kMagic.substr(0, rest.size())) {
      magic_ = std::string(rest);
      return false;
    }
    if (!rest.starts_with(kMagic)) {
      phase_ = Phase::kTrailing;
      return false;
    }
    auto* const input = state_.next_in;
    const std::uint32_t available = state_.avail_in;
    start_member();
    state_.next_in = input;
    state_.avail_in = available;
    state_.avail_out = 0;  // keeps the caller's loop going
    return true;
  }

  inflate_state state_ = {};
  isal_gzip_header header_ = {};
  bool in_header_ = true;
  std::string magic_;  // what was seen of the next member's first two bytes
  Phase phase_ = Phase::kMember;
};

class ZstdCodec : public Inflater::Codec {
 public:
  ZstdCodec() : context_(ZSTD_createDCtx()) {
    if (!context_) throw std::bad_alloc();
    ZSTD_DCtx_setParameter(context_.get(), ZSTD_d_windowLogMax, kMaxWindowLog);
  }

  void write(std::string_view input, InflateOutput& output) override {
    ZSTD_inBuffer in = {input.data(), 0, 0};
    bool flushed = false;
    while (in.pos < input.size() || !flushed) {
      // A frame's first byte comes alone: the library checks a frame that it is given whole in
      // another way, and what is good would depend on where the input was cut.
      in.size = missing_ == 0 ? std::min(in.pos + 1, input.size()) : input.size();
      const std::span<char> space = output.space();
      ZSTD_outBuffer out = {space.data(), space.size(), 0};
      const std::size_t status = ZSTD_decompressStream(context_.get(), &out, &in);
      if (ZSTD_isError(status) != 0) throw_zstd(status);
      missing_ = status;
      flushed = status == 0 || out.pos < out.size;  // 0: the frame is complete and flushed
      output.produce(out.pos);
    }
  }

  void finish() override {
    if (missing_ != 0) throw_bad_stream("truncated zstd stream");
  }

 private:
  [[noreturn]] static void throw_zstd(std::size_t status) {
    const std::string text = std::string("zstd: ") + ZSTD_getErrorName(status);
    if (ZSTD_getErrorCode(status) == ZSTD_error_frameParameter_windowTooLarge) {
      throw base::Error(base::ErrorKind::kUnsupported, text);
    }
    throw_bad_stream(text);
  }

  base::CHandle<ZSTD_DCtx, ZSTD_freeDCtx> context_;
  std::size_t missing_ = 0;  // 0: a frame is complete
};

constexpr std::size_t kHeadBytes = 7;  // the longest magic below

bool is_zstd(std::string_view head) {
  if (head.size() < 4) return false;
  if (head.starts_with("\x28\xb5\x2f\xfd")) return true;
  const bool skippable = (static_cast<unsigned char>(head[0]) & 0xf0U) == 0x50U;
  return skippable && head.substr(1, 3) == "\x2a\x4d\x18";  // RFC 8878, section 3.1.2
}

}  // namespace

Inflater::Inflater() = default;
Inflater::~Inflater() = default;

void Inflater::choose_codec() {
  using namespace std::literals;
  if (head_.starts_with("\x1f\x8b")) {
    codec_ = std::make_unique<GzipCodec>();
  } else if (is_zstd(head_)) {
    codec_ = std::make_unique<ZstdCodec>();
  } else if (head_.starts_with("\xfd"
                               "7zXZ\0"sv) ||
             (head_.size() >= kHeadBytes && head_.starts_with("BZh") &&
              head_.substr(4, 3) == "1AY")) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "layers compressed with xz or bzip2 are not supported");
  } else {
    codec_ = std::make_unique<PlainCodec>();
  }
}

void Inflater::write(std::string_view input, InflateOutput& output) {
  if (codec_) return codec_->write(input, output);
  head_ += input;
  if (head_.size() < kHeadBytes) return;
  choose_codec();
  codec_->write(std::exchange(head_, {}), output);
}

void Inflater::finish(InflateOutput& output) {
  if (!codec_) {
    choose_codec();
    if (!head_.empty()) codec_->write(std::exchange(head_, {}), output);
  }
  codec_->finish();
}

}  // namespace storage
