// Compressed bytes to nowhere: gzip, zstd or none, in one piece and in small ones, with the same
// end.
#include <array>

#include "base/sha256.h"
#include "storage/unpack/inflater.h"
#include "tests/fuzz/check.h"

namespace {

class Nowhere : public storage::InflateOutput {
 public:
  explicit Nowhere(std::size_t window) : window_(window) {}
  std::span<char> space() override { return std::span(buffer_).first(window_); }
  void produce(std::size_t size) override {
    FUZZ_CHECK(size <= window_);
    total_ += size;
    if (total_ > (16U << 20U)) throw base::Error(base::ErrorKind::kInvalid, "enough");
    hasher_.update({buffer_.data(), size});
  }
  std::string finish() { return hasher_.finish(); }

 private:
  std::size_t window_, total_ = 0;
  std::array<char, 65536> buffer_ = {};
  base::Sha256Hasher hasher_;
};

// What came out, or "refused".
std::string inflate(std::string_view bytes, std::size_t piece, std::size_t window) {
  try {
    Nowhere nowhere(window);
    storage::Inflater inflater;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      inflater.write(bytes.substr(at, piece), nowhere);
    }
    inflater.finish(nowhere);
    return nowhere.finish();
  } catch (const base::Error& error) {
    FUZZ_CHECK(error.kind() == base::ErrorKind::kCorrupt ||
               error.kind() == base::ErrorKind::kUnsupported ||
               error.kind() == base::ErrorKind::kInvalid);
    return "refused";
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes = text_of(data, size);
  const std::string whole = inflate(bytes, size + 1, 65536);
  FUZZ_CHECK(inflate(bytes, 3, 1000) == whole);
  return 0;
}
