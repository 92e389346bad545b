// Bundle: the OCI bundle of a container, made anew at every start from its row, its image and this
// host.
#pragma once

#include <string>
#include <vector>

#include "engine/bridge_network.h"
#include "engine/engine.h"
#include "engine/image_tree.h"
#include "engine/network_state.h"
#include "engine/run_directory.h"
#include "engine/volumes.h"
#include "oci/image_config.h"
#include "oci/runtime_spec.h"
#include "storage/overlay.h"
#include "storage/store.h"

namespace engine {

struct BundleInput {
  storage::ContainerRow row;
  ContainerOptions options;
  storage::ImageRow image;
  oci::ImageConfig image_config;
  NetworkState network;
  BindSource bind_source = BindSource::kNeeded;
};

// Throws kNotFound with docker's words.
storage::ContainerRow load_row(storage::Store& store, std::string_view name_or_id);
BundleInput load_bundle_input(storage::Store& store, const storage::ContainerRow& row);

// The spec, with /etc/hosts and its like at their places in `directory`. `etc_files`: whether to
// bind those at all; an exported bundle does without.
enum class EtcFiles { kBound, kLeftOut };
oci::RuntimeSpec make_spec(storage::Store& store, const Config& config,
                           const RunDirectory& directory, const BundleInput& input,
                           EtcFiles etc_files);

// Writes config.json, hosts, hostname, resolv.conf and network.json into the locked `directory`.
void write_bundle(storage::Store& store, const Config& config, const RunDirectory& directory,
                  const BundleInput& input);

// The same for a container that has run before: leases its address anew (the same one where it is
// still its own) and completes `input`'s network first.
void write_new_bundle(storage::Store& store, const Config& config, const RunDirectory& directory,
                      BundleInput& input);

// upper and work of the overlay where they are missing; upper's owner and mode are those of the
// image's root.
void make_writable_layer(const fs::path& container_dir, const storage::OverlayPlan& plan);

// Where the runtime keeps compiled seccomp filters.
fs::path seccomp_cache(const Config& config);

// The container's layers as a tree, its writable one on top.
ImageTree open_tree(storage::Store& store, const storage::ImageRow& image,
                    const fs::path& container_dir);

}  // namespace engine
