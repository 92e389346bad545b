#include "storage/pack/blob_evict.h"

#include "base/error.h"
#include "base/trace.h"
#include "storage/pack/blob_rebuild.h"
#include "storage/pack/layer_tar.h"

namespace storage {
namespace {

class Eviction {
 public:
  Eviction(Store& store, const EvictRequest& request) : store_(store), request_(request) {}

  EvictResult run() {
    std::vector<BlobRow> fetchable;
    for (BlobRow& blob : store_.list_blobs()) {
      if (!blob.kept || !wants(blob)) continue;
      if (can_be_made(blob)) {
        evict(blob);
      } else if (!blob.origin.empty()) {
        fetchable.push_back(std::move(blob));
      } else {
        ++result_.staying;
      }
    }
    for (const BlobRow& blob : fetchable) {
      if (wants(blob)) evict(blob);
    }
    return std::move(result_);
  }

 private:
  bool wants(const BlobRow& blob) const {
    return request_.all || result_.bytes < request_.bytes || blob.used < request_.unused_since;
  }

  bool can_be_made(BlobRow& blob) {
    if (!has_layer_tar(store_, blob.layer)) return false;
    if (!is_searched(blob) && !request_.dry_run) search(blob);
    return has_recipe(blob);
  }

  // The result is remembered either way: looking for it takes its time.
  void search(BlobRow& blob) {
    try {
      blob.recipe = find_recipe(store_, blob).value_or(kNoRecipe);
    } catch (const base::Error& error) {
      // Damaged is for `system check` to say; a file that is gone is no blob to evict.
      if (error.kind() == base::ErrorKind::kNoSpace) throw;
      base::trace("storage", error.what());
      return;
    }
    store_.set_blob_recipe(blob.digest, blob.recipe);
  }

  void evict(const BlobRow& blob) {
    result_.bytes += request_.dry_run ? blob.size : store_.drop_blob(blob.digest);
    result_.evicted.push_back(blob.digest.hex());
  }

  Store& store_;
  const EvictRequest& request_;
  EvictResult result_;
};

}  // namespace

EvictResult evict_blobs(Store& store, const EvictRequest& request) {
  const base::UniqueFd hold = store.hold_layers();
  return Eviction(store, request).run();
}

}  // namespace storage
