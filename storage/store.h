// Store: one root directory with its database; the only door to rows, blobs, layers and container
// directories.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "base/time.h"
#include "oci/digest.h"
#include "oci/reference.h"

namespace storage {

namespace fs = std::filesystem;
class Database;

// Names a layer's directory: the hex of its DiffId; where the content depends on what lies below
// (implied parents, links to files of lower layers; see storage/FORMAT.md), the hex of its ChainId.
using LayerKey = std::string;

struct ImageRow {
  oci::ImageId id;
  oci::Digest manifest_digest;
  std::string config;                // the config's bytes, as served
  std::string manifest;              // the manifest's bytes, as served
  std::vector<oci::DiffId> layers;   // bottom first
  std::vector<LayerKey> layer_keys;  // their directories, in the same order
  std::uint64_t size = 0;            // bytes on disk of all layers, shared ones included
  base::Nanoseconds created = 0;     // by the image's author
  base::Nanoseconds pulled = 0;
};

struct ImageName {
  std::string repository;             // full: "docker.io/library/alpine"
  std::string tag;                    // empty: only a digest names it
  std::optional<oci::Digest> digest;  // repo digest: what the registry called it
  oci::ImageId image;
};

enum class ContainerStatus { kCreated, kRunning, kPaused, kExited, kRemoving, kDead };

struct ContainerRow {
  std::string id;  // 64 hexadecimal digits
  std::string name;
  oci::ImageId image;
  std::string image_name;  // as the user wrote it
  std::string command;     // for `ps`
  ContainerStatus status = ContainerStatus::kCreated;
  base::Nanoseconds created = 0, started = 0, finished = 0;
  base::ProcessId init, monitor;
  std::string boot_id;  // of the boot in which init and monitor are meaningful
  int exit_code = 0;
  bool oom_killed = false;
  bool auto_remove = false;
  std::string error;
  std::string options;  // JSON, owned by engine: everything `create` was told
  std::string ports;    // JSON, owned by engine
  std::string labels;   // JSON object
};

struct Lease {
  std::string network;  // "bridge"
  std::string container;
  std::uint32_t address = 0;  // IPv4, host byte order
};

struct NetworkRow {
  std::string name;
  std::string driver;
  std::string options;  // JSON, owned by engine: subnet, gateway, bridge, table
  base::Nanoseconds created = 0;
};

struct VolumeRow {
  std::string name;
  bool anonymous = false;
  std::string labels;  // JSON object
  base::Nanoseconds created = 0;
};

// Range to lease an address from; the first free one after the last that was given, wrapping
// around.
struct LeaseRequest {
  std::string network;
  std::uint32_t first = 0, last = 0;
  std::optional<std::uint32_t> wanted;
};

// Every function may throw base::Error; a busy database is waited for (up to 60 s), never reported
// as locked. One process may hold several Stores. Not thread-safe. Each modifying function is one
// transaction: after a kill it has happened or it has not.
class Store {
 public:
  // Opens `root`, creating layout and schema on first use; migrates older schemas.
  explicit Store(fs::path root);
  Store(Store&&) noexcept;
  ~Store();

  const fs::path& root() const;
  fs::path layer_dir(const LayerKey& key) const;  // its content: <root>/layers/<key>/diff
  fs::path container_dir(std::string_view id) const;
  fs::path volume_dir(std::string_view name) const;  // .../_data
  fs::path blob_path(const oci::Digest& digest) const;
  fs::path staging_dir() const;  // on the same file system; what lies there is swept unless leased

  // Images.
  // By id, unique id prefix (with or without "sha256:"), name[:tag] or name@digest. Throws kInvalid
  // where a prefix is ambiguous.
  std::optional<ImageRow> find_image(std::string_view name_or_id);
  std::vector<ImageRow> list_images();
  std::vector<ImageName> list_names();  // sorted
  // Makes the image exist and the name point to it, with its layers marked as used. All layers must
  // be there.
  void add_image(const ImageRow& image, const oci::Reference& name, const oci::Digest& repo_digest);
  void tag_image(const oci::ImageId& image, const oci::Reference& name);
  struct Untagged {
    std::vector<std::string> names;       // "alpine:3.19" that were taken away
    std::optional<oci::ImageId> deleted;  // where the last name went
    std::vector<LayerKey> layers;         // and these had no other user
  };
  // docker's rmi: a name is untagged, an id removed; kConflict with docker's words where a
  // container uses it.
  enum class Force { kNo, kYes };
  Untagged remove_image(std::string_view name_or_id, Force force);

  // Layers.
  bool has_layer(const LayerKey& key);
  // A finished tree at `staged` (from staging_dir()) becomes the layer: synced, renamed, row
  // inserted. A layer that somebody else put there first wins and `staged` is dropped.
  void publish_layer(const LayerKey& key, const oci::DiffId& id, const fs::path& staged,
                     std::uint64_t size);
  // Known compressed form: lets a later pull skip a layer before its config is read.
  void remember_blob(const oci::Digest& blob, const oci::DiffId& layer);
  std::optional<oci::DiffId> find_layer_of_blob(const oci::Digest& blob);

  // Containers.
  // The row, its name (kConflict with docker's words where taken) and, where asked, its address, at
  // once.
  std::optional<std::uint32_t> add_container(const ContainerRow& row,
                                             const std::optional<LeaseRequest>& lease);
  // By id, name, or unique id prefix.
  std::optional<ContainerRow> find_container(std::string_view name_or_id);
  std::vector<ContainerRow> list_containers();     // newest first
  void update_container(const ContainerRow& row);  // all columns but id
  void remove_container(std::string_view id);      // row, name and leases
  void rename_container(std::string_view id, std::string_view name);
  std::optional<std::uint32_t> lease_address(std::string_view container, const LeaseRequest& lease);
  void release_address(std::string_view container, std::string_view network);
  std::vector<Lease> list_leases();

  // Networks, volumes, events.
  std::optional<NetworkRow> find_network(std::string_view name);
  // Inserts unless a row of that name exists; returns what is there now.
  NetworkRow add_network(const NetworkRow& row);
  std::vector<NetworkRow> list_networks();
  std::optional<VolumeRow> find_volume(std::string_view name);
  VolumeRow add_volume(const VolumeRow& row);  // also makes the directory
  std::vector<VolumeRow> list_volumes();
  void remove_volume(std::string_view name);

  // Removes what a killed command left: directories without rows, staging without a live owner,
  // trash. Returns how many things went. `thorough` also reads layers/; the quick form costs two
  // readdirs of empty folders.
  enum class Sweep { kQuick, kThorough };
  int sweep(Sweep how);

  // Moves a tree out of sight at once (rename into trash/), to be removed by discard_trash() of any
  // process.
  void move_to_trash(const fs::path& tree);
  void discard_trash() noexcept;

  // Writes the WAL back when it has grown; for the ends of commands that nobody waits for.
  void checkpoint() noexcept;

  Database& database();

 private:
  fs::path root_;
  std::unique_ptr<Database> database_;
};

}  // namespace storage
