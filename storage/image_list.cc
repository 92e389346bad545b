#include "storage/image_list.h"

#include <algorithm>
#include <tuple>

#include "storage/database.h"
#include "storage/store.h"

namespace storage {
namespace {

struct Name {
  std::string image, repository, tag;
};

// By image, then repository, then tags before digests.
std::vector<Name> read_names(Database& database) {
  std::vector<Name> names;
  Statement query = database.prepare("SELECT image,repository,tag FROM names");
  while (query.step()) names.push_back({query.text(0), query.text(1), query.text(2)});
  std::sort(names.begin(), names.end(), [](const Name& a, const Name& b) {
    return std::tuple(std::string_view(a.image), std::string_view(a.repository), a.tag.empty(),
                      std::string_view(a.tag)) < std::tuple(std::string_view(b.image),
                                                            std::string_view(b.repository),
                                                            b.tag.empty(), std::string_view(b.tag));
  });
  return names;
}

}  // namespace

// The columns that are read stand at the beginning of a row and so in the table's own pages;
// manifest and config would be a page more for each kilobyte.
std::vector<ImageLine> list_image_lines(Store& store) {
  Database& database = store.database();
  std::vector<ImageLine> images;
  {
    Statement query = database.prepare("SELECT id,size,created FROM images WHERE hidden=0");
    while (query.step()) {
      images.push_back({.id = query.text(0),
                        .repository = {},
                        .tag = {},
                        .size = static_cast<std::uint64_t>(query.integer(1)),
                        .created = query.integer(2)});
    }
  }
  std::sort(images.begin(), images.end(), [](const ImageLine& a, const ImageLine& b) {
    return a.created != b.created ? a.created > b.created : a.id < b.id;
  });
  const std::vector<Name> names = read_names(database);
  std::vector<ImageLine> lines;
  for (ImageLine& image : images) {
    auto name = std::lower_bound(names.begin(), names.end(), image.id,
                                 [](const Name& a, const std::string& id) { return a.image < id; });
    const bool has_names = name != names.end() && name->image == image.id;
    const std::string* repository = nullptr;  // of the line before
    for (; name != names.end() && name->image == image.id; ++name) {
      // A digest is shown by itself only where its repository has no tag for the image.
      if (name->tag.empty() && repository != nullptr && *repository == name->repository) continue;
      ImageLine line = image;
      line.repository = name->repository;
      line.tag = name->tag;
      lines.push_back(std::move(line));
      repository = &name->repository;
    }
    if (!has_names) lines.push_back(std::move(image));
  }
  return lines;
}

}  // namespace storage
