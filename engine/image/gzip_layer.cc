#include "engine/image/gzip_layer.h"

#include <array>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/sha256.h"
#include "storage/pack/compressor.h"
#include "storage/pack/layer_tar.h"

namespace engine {
namespace {

// RFC 1952, section 8.
class Crc32 {
 public:
  Crc32() {
    for (std::uint32_t i = 0; i < table_.size(); ++i) {
      std::uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) {
        value = (value >> 1U) ^ ((value & 1U) != 0 ? 0xEDB88320U : 0U);
      }
      table_[i] = value;
    }
  }
  void update(std::string_view bytes) {
    for (const char c : bytes) {
      value_ = table_[(value_ ^ static_cast<unsigned char>(c)) & 0xFFU] ^ (value_ >> 8U);
    }
  }
  std::uint32_t value() const { return ~value_; }

 private:
  std::array<std::uint32_t, 256> table_ = {};
  std::uint32_t value_ = 0xFFFFFFFFU;
};

std::string little_endian(std::uint32_t value) {
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8) {
    bytes += static_cast<char>(value >> shift & 0xFFU);
  }
  return bytes;
}

}  // namespace

GzipLayer write_gzip_layer(const storage::Store& store, const oci::DiffId& layer, int fd) {
  base::Sha256Hasher hasher;
  std::uint64_t size = 0;
  const auto put = [&](std::string_view bytes) {
    hasher.update(bytes);
    size += bytes.size();
    base::write_all(fd, bytes);
  };
  // No name, no time, as docker writes it.
  put(std::string_view("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10));
  const auto deflate = storage::make_compressor(
      {.method = storage::CompressorChoice::Method::kZlib, .level = 6, .parameter = 8}, put);
  Crc32 checksum;
  std::uint64_t length = 0;
  storage::write_layer_tar(store, layer, [&](std::string_view bytes) {
    checksum.update(bytes);
    length += bytes.size();
    deflate->write(bytes);
  });
  deflate->finish();
  put(little_endian(checksum.value()) + little_endian(static_cast<std::uint32_t>(length)));
  return {.digest = oci::Digest::from_hex(hasher.finish()), .size = size};
}

}  // namespace engine
