#include "engine/image/push_blobs.h"

#include <algorithm>
#include <fcntl.h>
#include <span>
#include <string_view>
#include <sys/stat.h>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/trace.h"
#include "engine/image/file_sink.h"
#include "engine/image/gzip_layer.h"
#include "storage/pack/blob_rebuild.h"

namespace engine {
namespace {

std::uint64_t size_of(int fd) {
  struct stat info = {};
  base::check(fstat(fd, &info), "fstat");
  return static_cast<std::uint64_t>(info.st_size);
}

// A blob that comes back from a registry.
class HashingSink : public FileSink {
 public:
  using FileSink::FileSink;
  std::string finish() { return hasher_.finish(); }

 private:
  void wrote(std::span<const char> bytes) override {
    hasher_.update(std::string_view(bytes.data(), bytes.size()));
  }
  void begun_anew() override { hasher_ = base::Sha256Hasher(); }

  base::Sha256Hasher hasher_;
};

}  // namespace

std::vector<std::string> origins_of(storage::Store& store, const storage::ImageRow& image,
                                    const std::optional<oci::Digest>& blob) {
  std::vector<std::string> origins;
  const auto add = [&](const std::string& repository) {
    const bool is_new = std::find(origins.begin(), origins.end(), repository) == origins.end();
    if (!repository.empty() && is_new) origins.push_back(repository);
  };
  if (blob) {
    if (const auto row = store.find_blob(*blob)) add(row->origin);
  }
  // A digest tells that a registry has it; a tag alone may be local.
  for (const bool with_digest : {true, false}) {
    for (const storage::ImageName& name : store.list_names()) {
      if (name.image == image.id && name.digest.has_value() == with_digest) add(name.repository);
    }
  }
  return origins;
}

std::vector<std::string> PushBlobs::list_origins(const storage::ImageRow& image) {
  return store_.with([&](storage::Store& store) { return origins_of(store, image, std::nullopt); });
}

std::vector<std::string> PushBlobs::find_mounts(const oci::Descriptor& blob,
                                                const storage::ImageRow& image,
                                                const oci::Reference& target) {
  const auto origins =
      store_.with([&](storage::Store& store) { return origins_of(store, image, blob.digest); });
  std::vector<std::string> mounts;
  const std::string here = target.domain() + "/";
  for (const std::string& origin : origins) {
    if (!origin.starts_with(here) || origin == target.repository()) continue;
    mounts.push_back(origin.substr(here.size()));
  }
  return mounts;
}

std::optional<BlobFile> PushBlobs::find_kept(const oci::Descriptor& blob) {
  const auto path = store_.with([&](storage::Store& store) -> std::optional<std::filesystem::path> {
    const auto row = store.find_blob(blob.digest);
    if (!row || !row->kept) return std::nullopt;
    store.touch_blob(blob.digest);
    return store.blob_path(blob.digest);
  });
  if (!path) return std::nullopt;
  base::UniqueFd fd(open(path->c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return std::nullopt;
  const std::uint64_t size = size_of(fd.get());
  // The registry verifies the digest; a file that is torn is mostly too short.
  if (size != blob.size) return std::nullopt;
  return BlobFile{.fd = std::move(fd), .digest = blob.digest, .size = size};
}

std::filesystem::path PushBlobs::new_file() {
  return store_.with([](storage::Store& store) { return store.make_staging("push"); }) / "blob";
}

std::optional<BlobFile> PushBlobs::fetch(const oci::Descriptor& blob,
                                         const storage::ImageRow& image) {
  const auto origins =
      store_.with([&](storage::Store& store) { return origins_of(store, image, blob.digest); });
  for (const std::string& origin : origins) {
    const std::filesystem::path path = new_file();
    base::UniqueFd fd = base::open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600);
    try {
      HashingSink sink(fd.get());
      client_.fetch_blob(oci::Reference::parse(origin), blob, 0, sink);
      if (sink.finish() == blob.digest.hex()) {
        base::trace("push", "blob " + blob.digest.str() + " fetched from " + origin);
        return BlobFile{.fd = std::move(fd), .digest = blob.digest, .size = blob.size};
      }
    } catch (const base::Error& error) {
      base::trace("push", "blob " + blob.digest.str() + ": " + error.what());
    }
  }
  return std::nullopt;
}

std::optional<BlobFile> PushBlobs::rebuild(const oci::Descriptor& blob) {
  const auto row = store_.with([&](storage::Store& store) { return store.find_blob(blob.digest); });
  if (!row || !storage::has_recipe(*row)) return std::nullopt;
  base::UniqueFd fd = base::open_file(new_file(), O_RDWR | O_CREAT | O_EXCL, 0600);
  try {
    // Only reads paths of the store: several threads may.
    storage::write_blob(store_.unlocked(), *row,
                        [&](std::string_view bytes) { base::write_all(fd.get(), bytes); });
  } catch (const base::Error& error) {
    base::trace("push", "blob " + blob.digest.str() + ": " + error.what());
    return std::nullopt;
  }
  return BlobFile{.fd = std::move(fd), .digest = blob.digest, .size = blob.size};
}

BlobFile PushBlobs::compress(const oci::DiffId& layer) {
  base::UniqueFd fd = base::open_file(new_file(), O_RDWR | O_CREAT | O_EXCL, 0600);
  const GzipLayer made = write_gzip_layer(store_.unlocked(), layer, fd.get());
  base::trace("push", "layer " + layer.str() + " compressed anew");
  return {.fd = std::move(fd), .digest = made.digest, .size = made.size};
}

std::optional<BlobFile> PushBlobs::find_made(const oci::Descriptor& blob) {
  const std::lock_guard lock(mutex_);
  if (made_ == nullptr) return std::nullopt;
  auto found = made_->extract(blob.digest.hex());
  return found.empty() ? std::nullopt : std::optional(std::move(found.mapped()));
}

void PushBlobs::make_with_programs(const storage::ImageRow& image, const oci::Reference& target) {
  const auto content = oci::parse_manifest(image.manifest, {});
  const auto* manifest = std::get_if<oci::Manifest>(&content);
  if (manifest == nullptr) return;
  for (const oci::Descriptor& blob : manifest->layers) {
    const auto row =
        store_.with([&](storage::Store& store) { return store.find_blob(blob.digest); });
    if (!row || !storage::needs_program(*row) || made_->contains(blob.digest.hex())) continue;
    const auto known =
        client_.push_blob(target, {.digest = blob.digest, .size = blob.size}, -1, {});
    if (known != registry::PushedBlob::kAbsent) continue;
    if (auto file = rebuild(blob)) made_->emplace(blob.digest.hex(), std::move(*file));
  }
}

BlobFile PushBlobs::obtain(const oci::Descriptor& blob, const oci::DiffId& layer,
                           const storage::ImageRow& image) {
  if (auto made = find_made(blob)) return std::move(*made);
  if (auto made = rebuild(blob)) return std::move(*made);
  if (auto fetched = fetch(blob, image)) return std::move(*fetched);
  return base::while_doing(
      "blob " + blob.digest.str() + " is neither here nor where the image came from",
      [&] { return compress(layer); });
}

}  // namespace engine
