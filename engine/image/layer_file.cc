#include "engine/image/layer_file.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "engine/image/layer_lock.h"
#include "engine/image/task_pool.h"
#include "storage/partial_blob.h"
#include "storage/unpack/layer_unpacker.h"

namespace engine {
namespace {

class LayerFiles {
 public:
  LayerFiles(storage::Store& store, const LayerFileOptions& options, Progress& progress)
      : store_(store), options_(options), progress_(progress) {}

  void run(const std::vector<LayerFileTask>& tasks) {
    pool_.run(options_.parallel, tasks.size(), [&](std::size_t index) {
      const LayerFileTask& task = tasks[index];
      base::while_doing("layer " + task.blob.digest.hex().substr(0, 12), [&] { unpack(task); });
    });
  }

 private:
  void unpack(const LayerFileTask& task) {
    LayerProgress progress(progress_, task.blob);
    const auto lock =
        lock_unless_present(store_, task.diff_id.hex(), [this] { return pool_.is_cancelled(); });
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
      if (pool_.is_cancelled()) throw base::Error(base::ErrorKind::kUnavailable, "cancelled");
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

  SharedStore store_;
  const LayerFileOptions& options_;
  Progress& progress_;
  TaskPool pool_;
};

}  // namespace

void unpack_layer_files(storage::Store& store, std::vector<LayerFileTask> tasks,
                        const LayerFileOptions& options, Progress& progress) {
  // The largest decides when all is done: it must not be the last to begin.
  std::stable_sort(tasks.begin(), tasks.end(), [](const LayerFileTask& a, const LayerFileTask& b) {
    return a.blob.size > b.blob.size;
  });
  LayerFiles(store, options, progress).run(tasks);
}

}  // namespace engine
