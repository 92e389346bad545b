#include "engine/image/layer_file.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "storage/partial_blob.h"
#include "storage/unpack/layer_unpacker.h"

namespace engine {
namespace {

constexpr auto kLockPoll = std::chrono::milliseconds(25);

// Thrown into a read that is to end because another layer failed.
struct Cancelled {};

class FilePool {
 public:
  FilePool(storage::Store& store, std::vector<LayerFileTask> tasks, const LayerFileOptions& options,
           Progress& progress)
      : store_(store), tasks_(std::move(tasks)), options_(options), progress_(progress) {}

  void run() {
    std::vector<std::jthread> threads;
    const std::size_t count = std::min<std::size_t>(std::max(options_.parallel, 1U), tasks_.size());
    for (std::size_t i = 0; i < count; ++i) threads.emplace_back([this] { work(); });
    threads.clear();  // joins
    if (failure_) std::rethrow_exception(failure_);
  }

 private:
  void work() {
    for (;;) {
      const std::size_t index = next_++;
      if (index >= tasks_.size() || cancelled_) return;
      try {
        const LayerFileTask& task = tasks_[index];
        base::while_doing("layer " + task.blob.digest.hex().substr(0, 12), [&] { unpack(task); });
      } catch (const Cancelled&) {
      } catch (...) {
        const std::lock_guard lock(mutex_);
        if (!failure_) failure_ = std::current_exception();
        cancelled_ = true;
      }
    }
  }

  void unpack(const LayerFileTask& task) {
    LayerProgress progress(progress_, task.blob);
    const auto lock = lock_unless_present(task.diff_id.hex());
    if (!lock) return progress.send(PullEvent::Kind::kLayerExists);
    const auto [staging, beside] = store_.with([](storage::Store& store) {
      return std::pair(store.make_staging("layer"), store.make_staging("beside"));
    });
    base::Cleanup discard([&, &tree = staging, &extras = beside] {
      base::remove_tree_quietly(tree);
      base::remove_tree_quietly(extras);
    });
    storage::LayerUnpacker unpacker(staging, task.blob, task.diff_id, options_.limits, {}, beside);
    // What is compressed can't be made again from the layer for certain: `save` and `push` want it.
    std::optional<storage::PartialBlob> copy;
    if (options_.keep_blobs && task.blob.digest.hex() != task.diff_id.hex()) {
      copy = open_copy(task.blob);
    }
    std::uint64_t received = 0;
    task.read([&](std::string_view bytes) {
      if (cancelled_) throw Cancelled();
      unpacker.write(bytes);
      if (copy) copy->append(bytes);
      progress.received(received += bytes.size());
    });
    progress.send(PullEvent::Kind::kUnpacking);
    const auto result = unpacker.finish();
    const std::string record =
        result.record.empty() ? std::string() : storage::render_record(result.record);
    store_.with([&, &tree = staging, &extras = beside](storage::Store& store) {
      store.publish_layer(task.diff_id.hex(), task.diff_id, tree, result.disk_bytes, record,
                          extras);
      keep(store, task, copy);
    });
    discard.dismiss();
    progress.send(PullEvent::Kind::kLayerDone);
  }

  std::optional<storage::PartialBlob> open_copy(const oci::Descriptor& blob) {
    const auto path =
        store_.with([&](storage::Store& store) { return store.partial_path(blob.digest); });
    auto copy = storage::PartialBlob::open(path);
    if (copy) copy->restart();
    return copy;
  }

  static void keep(storage::Store& store, const LayerFileTask& task,
                   std::optional<storage::PartialBlob>& copy) {
    if (!copy || copy->is_given_up() || copy->size() != task.blob.size) {
      return store.remember_blob(task.blob.digest, task.diff_id);
    }
    store.keep_blob({.digest = task.blob.digest,
                     .layer = task.diff_id,
                     .size = task.blob.size,
                     .origin = {},
                     .recipe = {}},
                    copy->path());
  }

  // Another process that unpacks this layer now is waited for. nullopt where it has finished.
  std::optional<base::UniqueFd> lock_unless_present(const storage::LayerKey& key) {
    for (;;) {
      bool present = false;
      auto lock = store_.with([&](storage::Store& store) {
        auto taken = store.try_lock_layer(key);
        if (taken) present = store.has_layer(key);
        return taken;
      });
      if (present) return std::nullopt;
      if (lock) return lock;
      if (cancelled_) throw Cancelled();
      std::this_thread::sleep_for(kLockPoll);
    }
  }

  SharedStore store_;
  std::vector<LayerFileTask> tasks_;
  const LayerFileOptions& options_;
  Progress& progress_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> cancelled_ = false;
  std::mutex mutex_;
  std::exception_ptr failure_;
};

}  // namespace

void unpack_layer_files(storage::Store& store, std::vector<LayerFileTask> tasks,
                        const LayerFileOptions& options, Progress& progress) {
  // The largest decides when all is done: it must not be the last to begin.
  std::stable_sort(tasks.begin(), tasks.end(), [](const LayerFileTask& a, const LayerFileTask& b) {
    return a.blob.size > b.blob.size;
  });
  FilePool(store, std::move(tasks), options, progress).run();
}

}  // namespace engine
