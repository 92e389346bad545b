// Compressor: the ways of compressing a layer that give the same bytes for the same input each
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace storage {

// Which compressor, and its settings; written as "zlib 6 8". Two that differ in a library's version
// may give other bytes: what is made by one is always compared with a digest.
struct CompressorChoice {
  enum class Method {
    kPlain,        // no compression
    kZlib,         // raw deflate; parameter: memLevel
    kGzipProgram,  // gzip(1), whose deflate differs from zlib's; with the trailer
    kIsal,         // raw deflate
    kZstd,         // one frame; parameter: bits kZstd*
  } method = Method::kPlain;
  int level = 0;
  unsigned parameter = 0;
  std::uint64_t input_size = 0;  // of kZstd with kZstdContentSize; not part of the text
  friend bool operator==(const CompressorChoice&, const CompressorChoice&) = default;
};
constexpr unsigned kZstdChecksum = 1, kZstdContentSize = 2, kZstdWorker = 4;

std::string render_choice(const CompressorChoice& choice);
CompressorChoice parse_choice(std::string_view text);  // throws kInvalid

class Compressor {
 public:
  using Sink = std::function<void(std::string_view)>;
  virtual ~Compressor() = default;
  virtual void write(std::string_view bytes) = 0;
  virtual void finish() = 0;
};

// `sink` gets what comes out, on the caller's thread, and may throw. Throws kUnsupported where the
// program or method is not there.
std::unique_ptr<Compressor> make_compressor(const CompressorChoice& choice, Compressor::Sink sink);
bool has_gzip_program();

}  // namespace storage
