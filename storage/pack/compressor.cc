#include "storage/pack/compressor.h"

#include <array>
#include <charconv>
#include <new>
#include <utility>
#include <vector>
#include <zlib.h>
#include <zstd.h>

#include <isa-l/igzip_lib.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "storage/pack/gzip_program.h"

namespace storage {
namespace {

using Method = CompressorChoice::Method;

constexpr std::size_t kOutputBytes = 64U << 10U;
constexpr std::pair<Method, std::string_view> kNames[] = {{Method::kPlain, "plain"},
                                                          {Method::kZlib, "zlib"},
                                                          {Method::kGzipProgram, "gzip"},
                                                          {Method::kIsal, "isal"},
                                                          {Method::kZstd, "zstd"}};

[[noreturn]] void throw_failed(const char* library) {
  throw base::Error(base::ErrorKind::kSystem, std::string(library) + " failed");
}

class PlainCompressor : public Compressor {
 public:
  explicit PlainCompressor(Sink sink) : sink_(std::move(sink)) {}
  void write(std::string_view bytes) override { sink_(bytes); }
  void finish() override {}

 private:
  Sink sink_;
};

class ZlibCompressor : public Compressor {
 public:
  ZlibCompressor(int level, int memory, Sink sink) : sink_(std::move(sink)) {
    constexpr int kRaw = -15;  // no header or trailer, windows of 32 KiB
    const int status = deflateInit2(&stream_, level, Z_DEFLATED, kRaw, memory, Z_DEFAULT_STRATEGY);
    if (status == Z_MEM_ERROR) throw std::bad_alloc();
    if (status != Z_OK) throw_failed("zlib");
  }
  ZlibCompressor(const ZlibCompressor&) = delete;
  ZlibCompressor& operator=(const ZlibCompressor&) = delete;
  ~ZlibCompressor() override { deflateEnd(&stream_); }

  void write(std::string_view bytes) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream_.avail_in = static_cast<uInt>(bytes.size());
    while (stream_.avail_in > 0) run(Z_NO_FLUSH);
  }

  void finish() override {
    while (run(Z_FINISH) != Z_STREAM_END) {
    }
  }

 private:
  int run(int flush) {
    stream_.next_out = reinterpret_cast<Bytef*>(output_.data());
    stream_.avail_out = static_cast<uInt>(output_.size());
    const int status = deflate(&stream_, flush);
    if (status == Z_STREAM_ERROR) throw_failed("zlib");
    const std::size_t count = output_.size() - stream_.avail_out;
    if (count > 0) sink_({output_.data(), count});
    return status;
  }

  Sink sink_;
  z_stream stream_ = {};
  std::vector<char> output_ = std::vector<char>(kOutputBytes);
};

class IsalCompressor : public Compressor {
 public:
  IsalCompressor(int level, Sink sink) : sink_(std::move(sink)) {
    static constexpr std::array<std::uint32_t, 4> kBufferBytes = {
        ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT, ISAL_DEF_LVL3_DEFAULT};
    isal_deflate_init(&stream_);
    stream_.gzip_flag = IGZIP_DEFLATE;
    stream_.level = static_cast<std::uint32_t>(level);
    level_buffer_.resize(kBufferBytes.at(static_cast<std::size_t>(level)));
    stream_.level_buf = level_buffer_.data();
    stream_.level_buf_size = static_cast<std::uint32_t>(level_buffer_.size());
  }

  // In pieces of one size: ISA-L's output depends on how its input is cut.
  void write(std::string_view bytes) override {
    while (!bytes.empty()) {
      const std::size_t count = std::min(bytes.size(), kPieceBytes - piece_.size());
      piece_ += bytes.substr(0, count);
      bytes.remove_prefix(count);
      if (piece_.size() == kPieceBytes) run(0);
    }
  }

  void finish() override { run(1); }

 private:
  static constexpr std::size_t kPieceBytes = 256U << 10U;

  void run(std::uint16_t end) {
    stream_.next_in = reinterpret_cast<std::uint8_t*>(piece_.data());
    stream_.avail_in = static_cast<std::uint32_t>(piece_.size());
    stream_.end_of_stream = end;
    do {
      stream_.next_out = reinterpret_cast<std::uint8_t*>(output_.data());
      stream_.avail_out = static_cast<std::uint32_t>(output_.size());
      if (isal_deflate(&stream_) != COMP_OK) throw_failed("isal");
      const std::size_t count = output_.size() - stream_.avail_out;
      if (count > 0) sink_({output_.data(), count});
    } while (stream_.avail_out == 0);
    piece_.clear();
  }

  Sink sink_;
  isal_zstream stream_ = {};
  std::vector<std::uint8_t> level_buffer_;
  std::string piece_;
  std::vector<char> output_ = std::vector<char>(kOutputBytes);
};

class ZstdCompressor : public Compressor {
 public:
  ZstdCompressor(const CompressorChoice& choice, Sink sink)
      : sink_(std::move(sink)), context_(ZSTD_createCCtx()) {
    if (!context_) throw std::bad_alloc();
    set(ZSTD_c_compressionLevel, choice.level);
    set(ZSTD_c_checksumFlag, (choice.parameter & kZstdChecksum) != 0 ? 1 : 0);
    if ((choice.parameter & kZstdWorker) != 0) set(ZSTD_c_nbWorkers, 1);
    if ((choice.parameter & kZstdContentSize) != 0) {
      check(ZSTD_CCtx_setPledgedSrcSize(context_.get(), choice.input_size));
    } else {
      set(ZSTD_c_contentSizeFlag, 0);
    }
  }

  void write(std::string_view bytes) override { run(bytes, ZSTD_e_continue); }
  void finish() override { run({}, ZSTD_e_end); }

 private:
  static std::size_t check(std::size_t status) {
    if (ZSTD_isError(status) != 0) {
      throw base::Error(base::ErrorKind::kSystem,
                        std::string("zstd: ") + ZSTD_getErrorName(status));
    }
    return status;
  }

  void set(ZSTD_cParameter parameter, int value) {
    check(ZSTD_CCtx_setParameter(context_.get(), parameter, value));
  }

  void run(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out = {output_.data(), output_.size(), 0};
      const std::size_t left = check(ZSTD_compressStream2(context_.get(), &out, &in, directive));
      if (out.pos > 0) sink_({output_.data(), out.pos});
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  }

  Sink sink_;
  base::CHandle<ZSTD_CCtx, ZSTD_freeCCtx> context_;
  std::vector<char> output_ = std::vector<char>(kOutputBytes);
};

}  // namespace

std::string render_choice(const CompressorChoice& choice) {
  for (const auto& [method, name] : kNames) {
    if (method != choice.method) continue;
    return std::string(name) + " " + std::to_string(choice.level) + " " +
           std::to_string(choice.parameter);
  }
  return {};
}

CompressorChoice parse_choice(std::string_view text) {
  const auto fail = [&] {
    throw base::Error(base::ErrorKind::kInvalid,
                      "\"" + std::string(text) + "\" is no way of compressing");
  };
  CompressorChoice choice;
  const std::size_t space = text.find(' ');
  bool known = false;
  for (const auto& [method, name] : kNames) {
    if (name != text.substr(0, space)) continue;
    choice.method = method;
    known = true;
  }
  if (!known || space == std::string_view::npos) fail();
  const char* const end = text.data() + text.size();
  const auto level = std::from_chars(text.data() + space + 1, end, choice.level);
  if (level.ec != std::errc() || level.ptr == end || *level.ptr != ' ') fail();
  const auto parameter = std::from_chars(level.ptr + 1, end, choice.parameter);
  if (parameter.ec != std::errc() || parameter.ptr != end) fail();
  return choice;
}

std::unique_ptr<Compressor> make_compressor(const CompressorChoice& choice, Compressor::Sink sink) {
  switch (choice.method) {
    case Method::kPlain:
      return std::make_unique<PlainCompressor>(std::move(sink));
    case Method::kZlib:
      return std::make_unique<ZlibCompressor>(choice.level, static_cast<int>(choice.parameter),
                                              std::move(sink));
    case Method::kGzipProgram:
      return std::make_unique<GzipProgram>(choice.level, std::move(sink));
    case Method::kIsal:
      return std::make_unique<IsalCompressor>(choice.level, std::move(sink));
    case Method::kZstd:
      return std::make_unique<ZstdCompressor>(choice, std::move(sink));
  }
  throw base::Error(base::ErrorKind::kUnsupported, "unknown way of compressing");
}

}  // namespace storage
