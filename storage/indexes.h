// Indexes: the multi-platform index that an image came with, byte for byte, and the images of its
// other platforms.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "oci/platform.h"
#include "storage/store.h"

namespace storage {

class Database;

struct KeptIndex {
  oci::Digest digest;
  std::string bytes;                   // as served
  std::vector<oci::Digest> manifests;  // that it names, itself or by those that it contains
  std::vector<KeptIndex> inner = {};   // indexes among them, with nothing in this member
};

// To be called before Store::add_image() gives `name` with the index's digest to `image`: who has
// it now is another platform of the same index, and keeps a name of its own, that of its manifest.
void keep_index(Store& store, const KeptIndex& index, const oci::Reference& name,
                const oci::ImageId& image);

// The bytes, as served; nullopt where it is not kept. It is while a repository names it or one that
// contains it.
std::optional<std::string> find_index(Store& store, const oci::Digest& index);

// Those that a name of the image stands for: what was pulled, where that was not the image's
// manifest itself.
std::vector<oci::Digest> indexes_of_image(Store& store, const oci::ImageId& image);

// Images that the index names and that are here, in no order.
std::vector<oci::ImageId> images_of_index(Store& store, const oci::Digest& index);

// Images without a tag that are another platform of one with a tag: no garbage.
std::set<oci::ImageId> images_beside_tags(Store& store);

// Whether its config says so; any variant where `platform` names none.
bool is_for_platform(const ImageRow& image, const oci::Platform& platform);

// What a name or id stands for on that platform: the image itself or another one of its index.
// nullopt where neither is here.
std::optional<ImageRow> find_image_for(Store& store, std::string_view name_or_id,
                                       const oci::Platform& platform);

// The same; throws kNotFound where there is no such image, or none for that platform, in docker's
// words. Without a platform: what the name stands for.
ImageRow load_image_for(Store& store, std::string_view name_or_id,
                        const std::optional<oci::Platform>& platform);
[[noreturn]] void throw_no_such_platform(std::string_view name_or_id,
                                         const oci::Platform& platform);

// docker's `rmi --platform`: removes the image that the name or id stands for on that platform.
// What named it names another platform of its index from then on, where one is here; else it is
// remove_image(). Throws as that and load_image_for() do.
Store::Untagged remove_image_for(Store& store, std::string_view name_or_id,
                                 const oci::Platform& platform, Store::Force force);

// A registry has the image in the name's repository under this digest now: it was pushed there.
// Nothing happens where the image went meanwhile.
void add_pushed_name(Store& store, const oci::ImageId& image, const oci::Reference& name,
                     const oci::Digest& digest);

// Within a transaction, after a name with that digest has gone.
void forget_unnamed_index(Database& database, std::string_view digest);

}  // namespace storage
