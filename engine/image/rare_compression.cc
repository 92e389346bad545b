#include "engine/image/rare_compression.h"

#include <vector>

#include "base/error.h"
#include "base/sha256.h"

namespace engine {
namespace {

constexpr std::size_t kMagicBytes = 16;
constexpr std::size_t kPieceBytes = 256U << 10U;

void check_blob(const ArchiveFile& file, const oci::Descriptor& described) {
  base::Sha256Hasher hasher;
  file.for_each_block([&](std::string_view bytes) { hasher.update(bytes); });
  if (file.size() != described.size || hasher.finish() != described.digest.hex()) {
    throw base::Error(base::ErrorKind::kCorrupt,
                      "layer " + described.digest.hex().substr(0, 12) +
                          ": the archive's blob is not what its manifest says");
  }
}

}  // namespace

bool is_rarely_compressed(const ArchiveFile& file) {
  return storage::is_compressed_for_archives(file.head(kMagicBytes));
}

void for_each_inflated_block(const ArchiveFile& file, const storage::DecompressLimits& limits,
                             const std::function<void(std::string_view)>& sink) {
  std::vector<char> piece(kPieceBytes);
  std::uint64_t at = 0;
  const auto next = [&]() -> std::string_view {
    const std::string_view bytes = file.read_some(at, piece);
    at += bytes.size();
    return bytes;
  };
  storage::decompress(next, sink, limits);
}

oci::Descriptor describe_inflated(const ArchiveFile& file, const oci::DiffId& id,
                                  const oci::Descriptor& described,
                                  const storage::DecompressLimits& limits) {
  if (described.digest.hex() != id.hex()) check_blob(file, described);
  oci::Descriptor plain{
      .media_type = oci::kOciLayer, .digest = oci::Digest::from_hex(id.hex()), .size = 0};
  for_each_inflated_block(file, limits,
                          [&](std::string_view bytes) { plain.size += bytes.size(); });
  return plain;
}

}  // namespace engine
