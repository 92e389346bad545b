#include "storage/pack/blob_record.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/trace.h"
#include "storage/pack/deflate/rebuilder.h"
#include "storage/pack/deflate/record_search.h"
#include "storage/pack/layer_tar.h"

namespace storage {
namespace {

constexpr std::string_view kRecordRecipe = "deflate ";
constexpr std::size_t kMaxRecordFile = 32U << 20U;

fs::path record_path(const Store& store, const BlobRow& blob) {
  return store.layer_extras(blob.layer.hex()) / ("blob-" + blob.digest.hex());
}

BitReader::Source read_from_start(int fd) {
  return [fd, offset = off_t{0}](char* buffer, std::size_t size) mutable {
    const auto count =
        static_cast<std::size_t>(base::check(pread(fd, buffer, size, offset), "read blob"));
    offset += static_cast<off_t>(count);
    return count;
  };
}

void rebuild(const Store& store, const BlobRow& blob, std::string_view record,
             const std::function<void(std::string_view)>& sink) {
  DeflateRebuilder rebuilder(record, sink);
  write_layer_tar(store, blob.layer, [&](std::string_view bytes) { rebuilder.write(bytes); });
  rebuilder.finish();
}

bool is_proved(const Store& store, const BlobRow& blob, std::string_view record) {
  base::Sha256Hasher hasher;
  rebuild(store, blob, record, [&](std::string_view bytes) { hasher.update(bytes); });
  return hasher.finish() == blob.digest.hex();
}

std::optional<DeflateRecord> search_record(const Store& store, const BlobRow& blob) {
  const base::UniqueFd file = base::open_file(store.blob_path(blob.digest), O_RDONLY | O_NOFOLLOW);
  const RecordRequest request{.open_stream = [&] { return read_from_start(file.get()); },
                              .stream_size = blob.size,
                              .write_plain =
                                  [&](const std::function<void(std::string_view)>& sink) {
                                    write_layer_tar(store, blob.layer, sink);
                                  }};
  try {
    return find_record(request);
  } catch (const base::Error& error) {
    // The layer was unpacked from these bytes: if they can't be followed, then by us, in this way.
    if (error.kind() != base::ErrorKind::kUnsupported &&
        error.kind() != base::ErrorKind::kCorrupt) {
      throw;
    }
    base::trace("storage", error.what());
    return std::nullopt;
  }
}

}  // namespace

bool is_record_recipe(std::string_view recipe) { return recipe.starts_with(kRecordRecipe); }

std::optional<std::string> make_blob_record(const Store& store, const BlobRow& blob) {
  const auto record = search_record(store, blob);
  if (!record || !is_proved(store, blob, record->bytes)) return std::nullopt;
  // On disk before a row tells of it: the blob may be evicted right after that.
  base::replace_file(record_path(store, blob), record->bytes, 0600, base::Durability::kSynced);
  std::string recipe = std::string(kRecordRecipe) + render_encoder(record->encoder);
  base::trace("storage", "blob " + blob.digest.hex().substr(0, 12) + " can be made again: " +
                             recipe + ", " + std::to_string(record->bytes.size()) + " bytes");
  return recipe;
}

void write_recorded_blob(const Store& store, const BlobRow& blob,
                         const std::function<void(std::string_view)>& sink) {
  const std::string record = base::read_file(record_path(store, blob), kMaxRecordFile);
  std::uint64_t size = 0;
  rebuild(store, blob, record, [&](std::string_view bytes) {
    size += bytes.size();
    // Only a damaged record makes more, and that might have no end.
    if (blob.size != 0 && size > blob.size) {
      throw base::Error(base::ErrorKind::kCorrupt, "a blob's record is damaged");
    }
    sink(bytes);
  });
}

}  // namespace storage
