#include "engine/cache_budget.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <tuple>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/time.h"
#include "engine/image_helper.h"
#include "engine/janitor.h"
#include "storage/database.h"
#include "storage/locks.h"
#include "storage/unused_images.h"

namespace engine {
namespace {

std::uint64_t sum(storage::Database& database, storage::Sql sql) {
  storage::Statement query = database.prepare(sql);
  query.step();
  return static_cast<std::uint64_t>(query.integer(0));
}

std::uint64_t blob_bytes(storage::Store& store) {
  return sum(store.database(), "SELECT coalesce(sum(size),0)FROM blobs WHERE kept");
}

void evict_blobs(const Config& config, storage::Store& store, const CacheBudget& budget) {
  const std::uint64_t total = cache_bytes(store);
  const std::uint64_t over =
      budget.max_bytes > 0 && total > budget.max_bytes ? total - budget.max_bytes : 0;
  if ((over == 0 && budget.max_age == 0) || blob_bytes(store) == 0) return;
  HelperCommand command{.words = {"evict", "--bytes", std::to_string(over)}};
  if (budget.max_age > 0) {
    command.words.insert(command.words.end(),
                         {"--unused-since", std::to_string(base::now() - budget.max_age)});
  }
  run_image_helper(config, command, {});
}

// What only this image has of its layers goes with it.
std::vector<ImageUse> list_uses(storage::Store& store) {
  const auto images = store.list_images();
  std::set<oci::ImageId> tagged;
  for (const auto& name : store.list_names()) {
    if (!name.tag.empty()) tagged.insert(name.image);
  }
  std::set<oci::ImageId> with_container;
  for (const auto& row : store.list_containers()) with_container.insert(row.image);
  const auto keys_of = [](const storage::ImageRow& image) {
    std::set<storage::LayerKey> keys(image.layer_keys.begin(), image.layer_keys.end());
    for (const oci::DiffId& id : image.layers) keys.insert(id.hex());
    return keys;
  };
  std::map<storage::LayerKey, int> count;
  for (const auto& image : images) {
    for (const auto& key : keys_of(image)) ++count[key];
  }
  std::vector<ImageUse> uses;
  for (const auto& image : images) {
    ImageUse use{.id = image.id,
                 .used = std::max(image.pulled, store.image_used(image.id)),
                 .has_tag = tagged.contains(image.id),
                 .has_container = with_container.contains(image.id),
                 .bytes = 0};
    for (const auto& key : keys_of(image)) {
      if (count[key] == 1) use.bytes += store.layer_size(key);
    }
    uses.push_back(use);
  }
  return uses;
}

std::uint64_t parse_number(const std::string& text) {
  std::uint64_t number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    throw base::Error(base::ErrorKind::kInvalid, "\"" + text + "\" is no number");
  }
  return number;
}

}  // namespace

std::uint64_t cache_bytes(storage::Store& store) {
  return sum(store.database(), "SELECT coalesce(sum(size),0)FROM layers") + blob_bytes(store);
}

std::vector<oci::ImageId> plan_budget(std::vector<ImageUse> images, const CacheBudget& budget,
                                      std::uint64_t bytes, base::Nanoseconds now) {
  std::erase_if(images, [&](const ImageUse& image) {
    return image.has_container || (image.has_tag && !budget.remove_tagged_unused);
  });
  std::sort(images.begin(), images.end(), [](const ImageUse& a, const ImageUse& b) {
    return std::tie(a.has_tag, a.used, a.id) < std::tie(b.has_tag, b.used, b.id);
  });
  std::vector<oci::ImageId> plan;
  std::uint64_t freed = 0;
  for (const ImageUse& image : images) {
    const bool is_old = budget.max_age > 0 && now - image.used > budget.max_age;
    if (!is_old && freed >= bytes) continue;
    freed += image.bytes;
    plan.push_back(image.id);
  }
  return plan;
}

void start_janitor_for(const Config& config, const CacheBudget& budget) {
  if (!budget.is_set()) return;
  storage::Store store(config.root);
  if (budget.max_age > 0 || cache_bytes(store) > budget.max_bytes) {
    start_janitor_with(config, budget);
  }
}

void keep_budget(const Config& config, const CacheBudget& budget) {
  using storage::Unused;
  storage::Store store(config.root);
  const auto turn = storage::lock_file(store.root() / "locks" / "janitor",
                                       storage::LockKind::kExclusive, storage::LockWait::kNo);
  if (!turn) return;
  evict_blobs(config, store, budget);
  // An image frees at least what it alone has; where that is too little, the next is asked.
  for (;;) {
    const std::uint64_t total = cache_bytes(store);
    const std::uint64_t over =
        budget.max_bytes > 0 && total > budget.max_bytes ? total - budget.max_bytes : 0;
    int removed = 0;
    for (const oci::ImageId& id : plan_budget(list_uses(store), budget, over, base::now())) {
      const auto how = budget.remove_tagged_unused ? Unused::kAny : Unused::kUntagged;
      if (storage::remove_unused_image(store, id, how)) ++removed;
    }
    if (removed == 0) return;
  }
}

std::vector<std::string> render_budget(const CacheBudget& budget) {
  std::vector<std::string> words;
  if (budget.max_bytes > 0) {
    words.insert(words.end(), {"--max-bytes", std::to_string(budget.max_bytes)});
  }
  if (budget.max_age > 0) {
    words.insert(words.end(), {"--max-age", std::to_string(budget.max_age)});
  }
  if (budget.remove_tagged_unused) words.emplace_back("--remove-tagged-unused");
  return words;
}

CacheBudget parse_budget(const std::vector<std::string>& words) {
  CacheBudget budget;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool has_value = i + 1 < words.size();
    if (words[i] == "--max-bytes" && has_value) {
      budget.max_bytes = parse_number(words[++i]);
    } else if (words[i] == "--max-age" && has_value) {
      budget.max_age = static_cast<base::Nanoseconds>(parse_number(words[++i]));
    } else if (words[i] == "--remove-tagged-unused") {
      budget.remove_tagged_unused = true;
    } else {
      throw base::Error(base::ErrorKind::kInvalid, "unknown word \"" + words[i] + "\"");
    }
  }
  return budget;
}

}  // namespace engine
