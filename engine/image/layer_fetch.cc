#include "engine/image/layer_fetch.h"

#include <chrono>
#include <memory>
#include <optional>
#include <thread>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "storage/unpack/layer_unpacker.h"

namespace engine {
namespace {

constexpr auto kLockPoll = std::chrono::milliseconds(25);

// Between the registry and the unpacker. Remembers how much came, for the progress.
class UnpackSink : public registry::RemoteBlobSink {
 public:
  UnpackSink(const FetchContext& context, const LayerTask& task, LayerProgress& progress)
      : context_(context), task_(task), progress_(progress) {
    start();
  }
  UnpackSink(const UnpackSink&) = delete;
  UnpackSink& operator=(const UnpackSink&) = delete;
  ~UnpackSink() override { discard(); }

  void restart() override {
    discard();
    start();
    progress_.send(PullEvent::Kind::kRetrying, "the server has other content than before");
  }

  std::span<char> space() override { return unpacker_->space(); }

  void produce(std::size_t size) override {
    unpacker_->produce(size);
    received_ += size;
    progress_.received(received_);
  }

  void write(std::string_view bytes) { unpacker_->write(bytes); }

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
      store.remember_blob(task_.blob.digest, task_.diff_id);
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
    unpacker_ = std::make_unique<storage::LayerUnpacker>(staging_, task_.blob, task_.diff_id,
                                                         storage::UnpackLimits{},
                                                         storage::OverlayPolicy{}, beside_);
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
  std::filesystem::path staging_, beside_;  // empty once they are published
  std::unique_ptr<storage::LayerUnpacker> unpacker_;
  std::uint64_t received_ = 0;
};

// Another process that fetches this layer now is waited for: its download is ours, too. nullopt
// where it has finished it.
std::optional<base::UniqueFd> lock_unless_present(const FetchContext& context,
                                                  const storage::LayerKey& key) {
  for (;;) {
    bool present = false;
    auto lock = context.store.with([&](storage::Store& store) {
      auto taken = store.try_lock_layer(key);
      if (taken) present = store.has_layer(key);
      return taken;
    });
    if (present) return std::nullopt;
    if (lock) return lock;
    if (context.is_cancelled()) {
      throw base::Error(base::ErrorKind::kUnavailable, "cancelled");
    }
    std::this_thread::sleep_for(kLockPoll);
  }
}

void transfer(const FetchContext& context, const LayerTask& task, LayerProgress& progress) {
  UnpackSink sink(context, task, progress);
  if (task.blob.data && task.blob.data->size() == task.blob.size) {
    sink.write(*task.blob.data);  // came with the manifest (image-spec, descriptor.md)
  } else {
    context.client.fetch_blob(context.repository, task.blob, 0, sink);
  }
  sink.publish();
}

}  // namespace

void fetch_layer(const FetchContext& context, const LayerTask& task) {
  LayerProgress progress(context.progress, task.blob);
  base::while_doing("layer " + task.blob.digest.hex().substr(0, 12), [&] {
    const auto lock = lock_unless_present(context, task.diff_id.hex());
    if (!lock) return progress.send(PullEvent::Kind::kLayerExists);
    try {
      transfer(context, task, progress);
    } catch (const base::Error& error) {
      // A transfer that was resumed in the middle may have joined two different things.
      if (error.kind() != base::ErrorKind::kCorrupt || context.is_cancelled()) throw;
      progress.send(PullEvent::Kind::kRetrying, error.what());
      transfer(context, task, progress);
    }
    progress.send(PullEvent::Kind::kLayerDone);
  });
}

}  // namespace engine
