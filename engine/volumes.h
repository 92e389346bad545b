// Volumes and binds of a container: named, made, filled from the image, resolved to host paths.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/image_tree.h"
#include "engine/mount_plan.h"
#include "engine/options.h"
#include "storage/store.h"

namespace engine {

// The mounts of other containers that --volumes-from names, but for their tmpfs, become this one's;
// its own at the same place win. Throws kNotFound and kInvalid with docker's words.
void add_volumes_from(storage::Store& store, ContainerOptions& options);

// Adds an anonymous volume for every VOLUME of the image that no mount covers, and gives every
// anonymous one its name (64 random digits).
void name_volumes(ContainerOptions& options, const std::vector<std::string>& image_volumes);

// Makes the volumes that do not exist. A new or empty one gets what the image has at its place:
// copied aside and renamed, so that a kill leaves it empty or full (CVE-2022-23648: the image's
// path is only resolved inside the image).
void make_volumes(storage::Store& store, const ContainerOptions& options, const ImageTree& tree);

// Where each mount comes from. A bind whose source is missing is made for -v, refused for --mount.
enum class BindSource { kNeeded, kOnlyNamed };  // kOnlyNamed: looks at nothing and makes nothing
std::vector<ResolvedMount> resolve_mounts(storage::Store& store, const ContainerOptions& options,
                                          BindSource bind_source);

// Removes the anonymous volumes of a container whose row is gone, unless another one mounts them.
void remove_anonymous_volumes(storage::Store& store, const ContainerOptions& options);

// `volume create`. An empty name: an anonymous one. Returns what is there now: a volume that exists
// stays as it is.
struct VolumeRequest {
  std::string name, driver = "local";
  std::map<std::string, std::string> labels, options;
};
storage::VolumeRow create_volume(storage::Store& store, const VolumeRequest& request);

// Throws kInvalid with docker's words for what the local driver does not take.
void check_volume_options(const std::string& name,
                          const std::map<std::string, std::string>& options);
void check_volume_driver(const std::string& driver);

// The JSON objects of a row as maps.
std::map<std::string, std::string> parse_texts(const std::string& json);
bool is_anonymous_name(const std::string& name);

}  // namespace engine
