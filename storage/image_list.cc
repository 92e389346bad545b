#include "storage/image_list.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>

#include "storage/database.h"
#include "storage/store.h"

namespace storage {
namespace {

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

struct ListedImage {
  std::string id;
  std::uint64_t size = 0;
  base::Nanoseconds created = 0;
  std::size_t first_name = kNone;
};

struct ListedName {
  std::size_t image = 0, next = kNone;  // `next` of the same image
  std::string repository, tag, digest;
};

// All of it from the index image_list (schema.cc).
std::vector<ListedImage> read_images(Database& database) {
  std::vector<ListedImage> images;
  Statement query = database.prepare(
      "SELECT id,size,created FROM images WHERE hidden=0 ORDER BY created DESC,id");
  while (query.step()) {
    images.push_back({.id = query.text(0),
                      .size = static_cast<std::uint64_t>(query.integer(1)),
                      .created = query.integer(2)});
  }
  return images;
}

// Images by id: numbers in a table of at least twice as many places, each at the one that the first
// digits of its id (a digest: as good as any hash) say or the next free one.
class ImagesById {
 public:
  explicit ImagesById(const std::vector<ListedImage>& images)
      : images_(images), places_(std::bit_ceil(2 * images.size() + 1), kNone) {
    for (std::size_t i = 0; i < images.size(); ++i) places_[place_of(images[i].id)] = i;
  }

  std::size_t find(std::string_view id) const { return places_[place_of(id)]; }  // or kNone

 private:
  std::size_t place_of(std::string_view id) const {
    std::uint64_t digits = 0;
    std::memcpy(&digits, id.data(), std::min(id.size(), sizeof digits));
    std::size_t place = digits * 0x9e3779b97f4a7c15U >> 32U & (places_.size() - 1);
    while (places_[place] != kNone && images_[places_[place]].id != id) {
      place = (place + 1) & (places_.size() - 1);
    }
    return place;
  }

  const std::vector<ListedImage>& images_;
  std::vector<std::size_t> places_;
};

// Names of images, each image's by repository, then tag (digests, whose tag is empty, first), then
// digest: the table's key.
std::vector<ListedName> read_names(Database& database, std::vector<ListedImage>& images) {
  const ImagesById by_id(images);
  std::vector<ListedName> names;
  names.reserve(images.size());
  Statement query = database.prepare(
      "SELECT image,repository,tag,digest FROM names ORDER BY repository,tag,digest");
  while (query.step()) {
    const std::size_t image = by_id.find(query.text(0));
    if (image == kNone) continue;  // hidden
    names.push_back({.image = image,
                     .repository = query.text(1),
                     .tag = query.text(2),
                     .digest = query.text(3)});
  }
  for (std::size_t i = names.size(); i-- > 0;) {
    names[i].next = std::exchange(images[names[i].image].first_name, i);
  }
  return names;
}

using NameIterator = std::vector<ListedName*>::const_iterator;

// Makes lines of names that no other line is made of.
class Lines {
 public:
  explicit Lines(ImageDigests digests, std::size_t expected) : digests_(digests) {
    lines_.reserve(expected);
  }

  void add(const ListedImage& image, std::string repository, std::string tag, std::string digest) {
    lines_.push_back({.id = image.id,
                      .repository = std::move(repository),
                      .tag = std::move(tag),
                      .digest = std::move(digest),
                      .size = image.size,
                      .created = image.created});
  }

  // Names of one repository. A digest is shown beside each tag, and by itself only where there is
  // none.
  void add(const ListedImage& image, NameIterator first, NameIterator last) {
    const NameIterator tags =
        std::find_if(first, last, [](const ListedName* name) { return !name->tag.empty(); });
    for (NameIterator name = tags == last ? last - 1 : tags; name != last; ++name) {
      if (digests_ == ImageDigests::kNone || tags == first) {
        add(image, std::move((*name)->repository), std::move((*name)->tag), {});
        continue;
      }
      std::for_each(first, tags, [&](const ListedName* digest) {
        add(image, (*name)->repository, (*name)->tag, digest->digest);
      });
    }
  }

  std::vector<ImageLine> take() { return std::move(lines_); }

 private:
  ImageDigests digests_;
  std::vector<ImageLine> lines_;
};

}  // namespace

// Mapping the pages costs a quarter of reading each by a call.
std::vector<ImageLine> list_image_lines(Store& store, ImageDigests digests) {
  store.database().map_file();
  std::vector<ListedImage> images = read_images(store.database());
  std::vector<ListedName> all_names = read_names(store.database(), images);
  Lines lines(digests, images.size());
  std::vector<ListedName*> names;  // of one image
  for (const ListedImage& image : images) {
    names.clear();
    for (std::size_t i = image.first_name; i != kNone; i = all_names[i].next) {
      names.push_back(&all_names[i]);
    }
    if (names.empty()) lines.add(image, {}, {}, {});
    for (NameIterator name = names.begin(); name != names.end();) {
      const NameIterator next = std::find_if(name, names.cend(), [&](const ListedName* other) {
        return other->repository != (*name)->repository;
      });
      lines.add(image, name, next);
      name = next;
    }
  }
  return lines.take();
}

}  // namespace storage
