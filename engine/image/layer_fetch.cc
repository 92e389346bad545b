#include "engine/image/layer_fetch.h"

#include <algorithm>
#include <fcntl.h>
#include <memory>
#include <optional>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/text.h"
#include "engine/image/layer_lock.h"
#include "storage/partial_blob.h"
#include "storage/unpack/layer_unpacker.h"

namespace engine {
namespace {

// Between what brings the blob and the unpacker; what comes from the network is kept on its way.
class UnpackSink : public registry::RemoteBlobSink {
 public:
  // `partial` may be null; it is lent.
  UnpackSink(const FetchContext& context, const LayerTask& task, LayerProgress& progress,
             storage::PartialBlob* partial)
      : context_(context), task_(task), progress_(progress), partial_(partial) {
    start();
  }
  UnpackSink(const UnpackSink&) = delete;
  UnpackSink& operator=(const UnpackSink&) = delete;
  ~UnpackSink() override { discard(); }

  void restart() override {
    discard();
    if (partial_ != nullptr) partial_->restart();
    start();
    progress_.send(PullEvent::Kind::kRetrying, "the server has other content than before");
  }

  std::span<char> space() override {
    space_ = unpacker_->space();
    return space_;
  }

  void produce(std::size_t size) override {
    // First: unpack() may hand the block on.
    if (partial_ != nullptr) partial_->append({space_.data(), size});
    unpack(size);
  }

  void write(std::string_view bytes) { unpacker_->write(bytes); }

  // The first `size` bytes of a file.
  void copy_from(int fd, std::uint64_t size) {
    while (received_ < size) {
      const std::span<char> target = unpacker_->space();
      const std::size_t wanted = std::min<std::uint64_t>(target.size(), size - received_);
      const std::size_t count = storage::read_at(fd, received_, target.subspan(0, wanted));
      if (count == 0) throw base::Error(base::ErrorKind::kCorrupt, "the blob's file is too short");
      unpack(count);
    }
  }

  // Verifies and makes the layer visible.
  void publish() {
    progress_.send(PullEvent::Kind::kUnpacking);
    const storage::LayerUnpacker::Result result = unpacker_->finish();
    unpacker_.reset();
    const std::string record =
        result.record.empty() ? std::string() : storage::render_record(result.record);
    context_.store.with([&](storage::Store& store) {
      store.publish_layer(task_.diff_id.hex(), task_.diff_id, staging_, result.disk_bytes, record,
                          beside_);
    });
    staging_.clear();
    beside_.clear();
  }

 private:
  void start() {
    context_.store.with([this](storage::Store& store) {
      staging_ = store.make_staging("layer");
      beside_ = store.make_staging("beside");
    });
    received_ = 0;
    unpacker_ = std::make_unique<storage::LayerUnpacker>(
        staging_, task_.blob, task_.diff_id, context_.limits, storage::OverlayPolicy{}, beside_);
  }

  void unpack(std::size_t size) {
    unpacker_->produce(size);
    received_ += size;
    progress_.received(received_);
  }

  void discard() {
    unpacker_.reset();
    for (std::filesystem::path* folder : {&staging_, &beside_}) {
      if (!folder->empty()) base::remove_tree_quietly(*folder);
      folder->clear();
    }
  }

  const FetchContext& context_;
  const LayerTask& task_;
  LayerProgress& progress_;
  storage::PartialBlob* partial_;
  std::filesystem::path staging_, beside_;  // empty once they are published
  std::unique_ptr<storage::LayerUnpacker> unpacker_;
  std::span<char> space_;
  std::uint64_t received_ = 0;
};

// From a blob that is kept: no traffic. False where there is none, or none that is what its name
// says; then it is gone.
bool unpack_kept(const FetchContext& context, const LayerTask& task, LayerProgress& progress) {
  const auto path =
      context.store.with([&](storage::Store& store) { return store.blob_path(task.blob.digest); });
  const base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return false;
  try {
    UnpackSink sink(context, task, progress, nullptr);
    sink.copy_from(fd.get(), task.blob.size);
    sink.publish();
    context.store.with([&](storage::Store& store) { store.touch_blob(task.blob.digest); });
    return true;
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kCorrupt) throw;
    context.store.with([&](storage::Store& store) { store.drop_blob(task.blob.digest); });
    return false;
  }
}

// The layer is published. The blob becomes a file of the cache, or is only known from now on.
void keep(const FetchContext& context, const LayerTask& task, storage::PartialBlob* partial) {
  const bool is_whole =
      partial != nullptr && !partial->is_given_up() && partial->size() == task.blob.size;
  const bool is_kept = is_whole && context.keep_blobs;
  context.store.with([&](storage::Store& store) {
    if (!is_kept) return store.remember_blob(task.blob.digest, task.diff_id);
    store.keep_blob({.digest = task.blob.digest,
                     .layer = task.diff_id,
                     .size = task.blob.size,
                     .origin = context.repository.repository(),
                     .recipe = {}},
                    partial->path());
  });
  if (!is_kept && partial != nullptr) partial->remove();
}

// What came before it failed is worth keeping where the next attempt can go on from it.
bool can_be_resumed(base::ErrorKind kind) {
  return kind != base::ErrorKind::kCorrupt && kind != base::ErrorKind::kInvalid &&
         kind != base::ErrorKind::kNoSpace;
}

// The addresses that the manifest gives are others' servers: only by the user's leave.
void fetch(const FetchContext& context, const oci::Descriptor& blob, std::uint64_t known,
           UnpackSink& sink) {
  if (blob.urls.empty() || context.allow_foreign_urls) {
    return context.client.fetch_blob(context.repository, blob, known, sink);
  }
  oci::Descriptor own = blob;
  own.urls.clear();
  try {
    context.client.fetch_blob(context.repository, own, known, sink);
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kNotFound) throw;
    throw base::Error(error.kind(), std::string(error.what()) + "; the manifest names " +
                                        base::printable(blob.urls.front()) +
                                        " for it, which \"allow-foreign-urls\" would permit");
  }
}

void transfer(const FetchContext& context, const LayerTask& task, LayerProgress& progress,
              storage::PartialBlob* partial) {
  if (partial != nullptr && partial->size() > task.blob.size) partial->restart();
  UnpackSink sink(context, task, progress, partial);
  if (task.blob.data && task.blob.data->size() == task.blob.size) {
    sink.write(*task.blob.data);  // came with the manifest (image-spec, descriptor.md)
  } else {
    const std::uint64_t known = partial == nullptr ? 0 : partial->size();
    if (known > 0) sink.copy_from(partial->fd(), known);
    if (known < task.blob.size) {
      fetch(context, task.blob, known, sink);
    }
  }
  sink.publish();
  keep(context, task, partial);
}

void download(const FetchContext& context, const LayerTask& task, LayerProgress& progress) {
  const auto path = context.store.with(
      [&](storage::Store& store) { return store.partial_path(task.blob.digest); });
  auto partial = storage::PartialBlob::open(path);
  storage::PartialBlob* const kept = partial ? &*partial : nullptr;
  try {
    try {
      transfer(context, task, progress, kept);
    } catch (const base::Error& error) {
      // A transfer that was resumed in the middle may have joined two different things.
      if (error.kind() != base::ErrorKind::kCorrupt || context.is_cancelled()) throw;
      progress.send(PullEvent::Kind::kRetrying, error.what());
      if (kept != nullptr) kept->restart();
      transfer(context, task, progress, kept);
    }
  } catch (const base::Error& error) {
    if (kept != nullptr && !can_be_resumed(error.kind())) kept->remove();
    throw;
  }
}

}  // namespace

void fetch_layer(const FetchContext& context, const LayerTask& task) {
  LayerProgress progress(context.progress, task.blob);
  base::while_doing("layer " + task.blob.digest.hex().substr(0, 12), [&] {
    const auto lock = lock_unless_present(context.store, task.diff_id.hex(), context.is_cancelled);
    if (!lock) return progress.send(PullEvent::Kind::kLayerExists);
    if (!unpack_kept(context, task, progress)) download(context, task, progress);
    progress.send(PullEvent::Kind::kLayerDone);
  });
}

}  // namespace engine
