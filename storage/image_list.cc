#include "storage/image_list.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "storage/database.h"
#include "storage/store.h"

namespace storage {
namespace {

struct ListedName {
  std::size_t image = 0;  // where it stands in the list of images
  std::string repository, tag, digest;
};

std::vector<ImageLine> read_images(Database& database) {
  std::vector<ImageLine> images;
  Statement query =
      database.prepare("SELECT id,size,created FROM images WHERE hidden=0 ORDER BY id");
  while (query.step()) {
    images.push_back({.id = query.text(0),
                      .repository = {},
                      .tag = {},
                      .digest = {},
                      .size = static_cast<std::uint64_t>(query.integer(1)),
                      .created = query.integer(2)});
  }
  return images;
}

// Names of images, each image's by repository, then tag (digests, whose tag is empty,
// first), then digest: the table's key.
class NamesOfImages {
 public:
  NamesOfImages(Database& database, const std::vector<ImageLine>& images)
      : first_(images.size(), kNone) {
    read(database, images);
    next_.resize(names_.size());
    for (std::size_t i = names_.size(); i-- > 0;) {
      next_[i] = std::exchange(first_[names_[i].image], i);
    }
  }

  std::vector<const ListedName*> of(std::size_t image) const {
    std::vector<const ListedName*> names;
    for (std::size_t i = first_[image]; i != kNone; i = next_[i]) names.push_back(&names_[i]);
    return names;
  }

 private:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  void read(Database& database, const std::vector<ImageLine>& images) {
    std::unordered_map<std::string_view, std::size_t> by_id(images.size());
    for (std::size_t i = 0; i < images.size(); ++i) by_id.emplace(images[i].id, i);
    Statement query = database.prepare(
        "SELECT image,repository,tag,digest FROM names ORDER BY repository,tag,digest");
    while (query.step()) {
      const auto image = by_id.find(query.text(0));
      if (image == by_id.end()) continue;  // hidden
      names_.push_back({.image = image->second,
                        .repository = query.text(1),
                        .tag = query.text(2),
                        .digest = query.text(3)});
    }
  }

  std::vector<ListedName> names_;
  std::vector<std::size_t> first_, next_;  // a list for each image
};

using NameIterator = std::vector<const ListedName*>::const_iterator;

// Names of one repository. A digest is shown beside each tag, and by itself only where there
// is none.
void add_lines(std::vector<ImageLine>& lines, const ImageLine& image, NameIterator first,
               NameIterator last, ImageDigests digests) {
  const NameIterator tags =
      std::find_if(first, last, [](const ListedName* name) { return !name->tag.empty(); });
  const auto add = [&](const ListedName& name, const std::string& digest) {
    lines.push_back({.id = image.id,
                     .repository = name.repository,
                     .tag = name.tag,
                     .digest = digest,
                     .size = image.size,
                     .created = image.created});
  };
  for (NameIterator name = tags == last ? last - 1 : tags; name != last; ++name) {
    if (digests == ImageDigests::kNone || tags == first) {
      add(**name, "");
    } else {
      std::for_each(first, tags, [&](const ListedName* digest) { add(**name, digest->digest); });
    }
  }
}

}  // namespace

// Size and time stand before a row's long texts, but often on the page behind the one that its id
// is on. So all pages are touched, and mapping them costs a quarter of reading each by a call.
std::vector<ImageLine> list_image_lines(Store& store, ImageDigests digests) {
  store.database().map_file();
  const std::vector<ImageLine> images = read_images(store.database());
  const NamesOfImages names_of_images(store.database(), images);
  std::vector<std::pair<base::Nanoseconds, std::size_t>> order;  // ages, and then by id
  order.reserve(images.size());
  for (const ImageLine& image : images) order.emplace_back(-image.created, order.size());
  std::sort(order.begin(), order.end());
  std::vector<ImageLine> lines;
  lines.reserve(images.size());
  for (const auto& [age, image] : order) {
    const std::vector<const ListedName*> names = names_of_images.of(image);
    if (names.empty()) lines.push_back(images[image]);
    for (NameIterator name = names.begin(); name != names.end();) {
      const NameIterator next = std::find_if(name, names.end(), [&](const ListedName* other) {
        return other->repository != (*name)->repository;
      });
      add_lines(lines, images[image], name, next, digests);
      name = next;
    }
  }
  return lines;
}

}  // namespace storage
