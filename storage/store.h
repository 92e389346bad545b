// Store: one root directory with its database; the only door to rows, blobs, layers and container
// directories.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/process.h"
#include "base/time.h"
#include "base/unique_fd.h"
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

// A compressed layer as a registry served it.
struct BlobRow {
  oci::Digest digest;
  oci::DiffId layer;
  std::uint64_t size = 0;      // of the blob; 0: not known
  bool kept = false;           // the file at blob_path() is there
  base::Nanoseconds used = 0;  // when it was served or read last
  std::string origin;          // full repository that has it: "docker.io/library/alpine"
  std::string recipe;  // how the layer's tar becomes it again (storage/pack/blob_rebuild.h); empty:
                       // not known
};

struct ImageName {
  std::string repository;             // full: "docker.io/library/alpine"
  std::string tag;                    // empty: only a digest names it
  std::optional<oci::Digest> digest;  // repo digest: what the registry called it
  oci::ImageId image;
};

enum class ContainerStatus {
  kCreated,
  kRunning,
  kPaused,
  kExited,
  kRemoving,
  kDead,
  kRestarting,  // it has ended and its monitor waits before it starts it again
};

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
  int restarts = 0;      // by its restart policy, since a user started it
  bool stopped = false;  // a user has stopped or killed it since
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
  std::string id;             // 64 hexadecimal digits
  std::string labels = "{}";  // JSON object
};

// One of the names by which a running container is found by others on a network.
struct HostRow {
  std::string network;
  std::string name;  // in lower case
  std::string container;
  std::uint32_t address = 0;  // IPv4, host byte order; 0: none
  std::string address6;       // as text; empty: none
};

struct VolumeRow {
  std::string name;
  bool anonymous = false;
  std::string labels;  // JSON object
  base::Nanoseconds created = 0;
  std::string options = "{}";  // JSON object: the local driver's "type", "device", "o"
};

struct Event {
  std::int64_t id = 0;  // grows with time
  base::Nanoseconds time = 0;
  std::string type;        // "container", "image", "volume", "network"
  std::string action;      // "start", "exec_create: sh"
  std::string actor;       // the id or name of what it happened to
  std::string attributes;  // JSON object of texts
};

// Range to lease an address from; the first free one after the last that was given, wrapping
// around.
struct LeaseRequest {
  std::string network;
  std::uint32_t first = 0, last = 0;
  std::optional<std::uint32_t> wanted;
  std::uint32_t lowest = 0, highest = 0;  // what may be wanted; 0: what may be given
  std::vector<std::uint32_t> reserved;    // never given: gateways and the like
};

// Every function may throw base::Error; a busy database is waited for (up to 60 s), never reported
// as locked. One process may hold several Stores. Not thread-safe. Each modifying function is one
// transaction: after a kill it has happened or it has not.
class Store {
 public:
  // Opens `root`, creating layout and schema on first use; migrates older schemas.
  explicit Store(const fs::path& root);
  Store(Store&&) noexcept;
  ~Store();

  const fs::path& root() const;
  fs::path layer_dir(const LayerKey& key) const;  // its content: <root>/layers/<key>/diff
  fs::path container_dir(std::string_view id) const;
  fs::path volume_dir(std::string_view name) const;  // .../_data
  fs::path blob_path(const oci::Digest& digest) const;
  fs::path partial_path(const oci::Digest& digest) const;  // a blob that has not come in full yet
  fs::path staging_dir() const;  // on the same file system; swept but for what make_staging() made

  // A new empty directory (mode 0700) below staging_dir(), this Store's until it is destroyed,
  // renamed away or its process dies; then sweep() of any process removes what is left. `purpose`
  // is part of the name.
  fs::path make_staging(std::string_view purpose);

  // Images.
  // By full id, name[:tag] or name@digest, or unique id prefix (with or without "sha256:"), in this
  // order. Throws kInvalid where a prefix is ambiguous or the text can't be a name.
  std::optional<ImageRow> find_image(std::string_view name_or_id);
  // What a container was made from. Unlike find_image it also sees an image that was removed by
  // force under a stopped container; such an image goes with its last container.
  ImageRow load_image(const oci::ImageId& id);
  // The one that came with this very manifest; nullopt where there is none.
  std::optional<oci::ImageId> find_image_of_manifest(const oci::Digest& manifest);
  std::vector<ImageRow> list_images();
  std::vector<ImageName> list_names();  // sorted
  // Makes the image exist and the name point to it, with its layers marked as used. All layers must
  // be there: kUnavailable where one is not (somebody removed it; see hold_layers()). Survives a
  // loss of power once it returns.
  void add_image(const ImageRow& image, const oci::Reference& name, const oci::Digest& repo_digest);
  // An image that no registry has served, as add_image() otherwise; `action` is what `events` says.
  void add_local_image(const ImageRow& image, const std::optional<oci::Reference>& name,
                       std::string_view action);
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
  // A finished tree at `staged` (from make_staging()) becomes the layer: renamed, row inserted. A
  // layer that somebody else put there first wins and `staged` is dropped. Nothing is synced yet:
  // add_image() does that once for all layers of its image; until then the layer counts only in
  // this boot. `record`: what is to be known about the layer wherever it is used (bytes of
  // LayerRecord, storage/unpack/layer_record.h); kept as given. `beside`: another directory of
  // make_staging(), with what LayerUnpacker put there to write the identical tar again; it becomes
  // layer_extras() of the layer.
  void publish_layer(const LayerKey& key, const oci::DiffId& id, const fs::path& staged,
                     std::uint64_t size, std::string_view record = {}, const fs::path& beside = {});
  fs::path layer_extras(const LayerKey& key) const;  // <root>/layers/<key>, above layer_dir()
  std::string load_layer_record(const LayerKey& key);
  std::uint64_t layer_size(const LayerKey& key);  // as published; 0 where there is no such layer
  // Moves a verified blob from `file` (on the store's file system) to blob_path() and says so in
  // its row. One that is kept already wins and `file` is removed. Not synced: who reads a blob
  // verifies its digest.
  void keep_blob(const BlobRow& blob, const fs::path& file);
  std::optional<BlobRow> find_blob(const oci::Digest& blob);
  std::vector<BlobRow> list_blobs();                           // least recently used first
  std::vector<BlobRow> blobs_of_layer(const oci::DiffId& id);  // kept ones first
  void touch_blob(const oci::Digest& blob);                    // it was used now
  void set_blob_recipe(const oci::Digest& blob, std::string_view recipe);
  // Removes the file; the row stays and says what is known about the blob. Returns the bytes that
  // it took on disk.
  std::uint64_t drop_blob(const oci::Digest& blob);
  // Known compressed form: lets a later pull skip a layer before its config is read.
  void remember_blob(const oci::Digest& blob, const oci::DiffId& layer);
  std::optional<oci::DiffId> find_layer_of_blob(const oci::Digest& blob);
  // When the last of its containers was removed; 0: never. Those that are there are in
  // list_containers().
  base::Nanoseconds image_used(const oci::ImageId& image);
  // While the result is open no layer is removed by anybody. A pull holds it from its first
  // has_layer() to its add_image(); any number of processes may.
  base::UniqueFd hold_layers();
  // One download of a layer at a time: the lock ends with the descriptor or the process. Waits; the
  // `try_` form answers nullopt where another descriptor has it.
  base::UniqueFd lock_layer(const LayerKey& key);
  std::optional<base::UniqueFd> try_lock_layer(const LayerKey& key);

  // Containers.
  // The row, its name (kConflict with docker's words where taken) and, where asked, its address, at
  // once. kNotFound where the image went meanwhile.
  std::optional<std::uint32_t> add_container(const ContainerRow& row,
                                             const std::optional<LeaseRequest>& lease);
  // The same with an address for each of these, in their order.
  std::vector<std::uint32_t> add_container_on(const ContainerRow& row,
                                              const std::vector<LeaseRequest>& leases);
  // By id, name, or unique id prefix.
  std::optional<ContainerRow> find_container(std::string_view name_or_id);
  std::vector<ContainerRow> list_containers();     // newest first
  void update_container(const ContainerRow& row);  // all columns but id; kNotFound
  // Reads, lets `change` change and writes the row in one transaction, so that what another process
  // wrote is not lost. Returns the row as written; nullopt where there is none.
  std::optional<ContainerRow> modify_container(std::string_view id,
                                               const std::function<void(ContainerRow&)>& change);
  void remove_container(std::string_view id);  // row, name and leases; a missing one is no error
  void rename_container(std::string_view id, std::string_view name);
  std::optional<std::uint32_t> lease_address(std::string_view container, const LeaseRequest& lease);
  void release_address(std::string_view container, std::string_view network);
  std::vector<Lease> list_leases();
  std::optional<std::uint32_t> find_lease(std::string_view container, std::string_view network);

  // Networks, volumes, events.
  std::optional<NetworkRow> find_network(std::string_view name);
  // By name, id, or unique id prefix; throws kInvalid where a prefix is ambiguous.
  std::optional<NetworkRow> find_network_by(std::string_view name_or_id);
  // Inserts unless a row of that name exists; returns what is there now.
  NetworkRow add_network(const NetworkRow& row);
  std::vector<NetworkRow> list_networks();
  std::optional<VolumeRow> find_volume(std::string_view name);
  VolumeRow add_volume(const VolumeRow& row);  // also makes the directory
  std::vector<VolumeRow> list_volumes();
  // With its contents; kConflict with docker's words where the options of a container name it.
  void remove_volume(std::string_view name);
  std::vector<std::string> find_volume_users(std::string_view name);  // ids of containers
  // kConflict with docker's words where a running container is on it; leases of others go with it.
  void remove_network(std::string_view name);
  // Names of containers on networks. set_hosts() replaces all that `container` has; kNotFound where
  // a network went meanwhile: from here on it can't.
  void set_hosts(std::string_view container, const std::vector<HostRow>& hosts);
  std::vector<HostRow> find_hosts(std::string_view network, std::string_view name);
  std::vector<HostRow> find_hosts_at(std::string_view network, std::uint32_t address,
                                     std::string_view address6);

  // The last ten thousand or so. The functions above write, in their own transactions, what they
  // know: container create, start, pause, unpause, die, rename, destroy; image pull, tag, untag,
  // delete; volume create, destroy; network create, destroy.
  void add_event(std::string_view type, std::string_view action, std::string_view actor,
                 std::string_view attributes = "{}");
  std::vector<Event> list_events(std::int64_t after_id, base::Nanoseconds since = 0);

  // Removes what a killed command left: staging without a live owner, directories of containers
  // without rows, containers in kRemoving whose processes are gone (an engine sets that status when
  // only row and directory are left). Returns how many things went or lie in trash/: where that is
  // not 0, discard_trash() has work when nobody waits. The quick form costs some 30 µs. The
  // thorough one also looks at layers, volumes, locks and old partial blobs, and empties the trash
  // (or leaves that to another process); to be called where somebody waits for a network anyway,
  // such as a pull.
  enum class Sweep { kQuick, kAllButTrash, kThorough };
  int sweep(Sweep how);

  // Moves a tree out of sight at once (rename into trash/), to be removed by discard_trash() of any
  // process. A missing tree is no error.
  void move_to_trash(const fs::path& tree);
  void discard_trash() noexcept;

  // Writes the WAL back when it has grown; for the ends of commands that nobody waits for.
  void checkpoint() noexcept;

  Database& database();

 private:
  struct Staging {
    fs::path path;
    base::UniqueFd lock;
  };
  void release_staging();  // that which is no longer at its place
  void watch_file_system();
  void sync_file_system();
  void add_image_rows(const ImageRow& image, const std::function<void()>& insert);
  fs::path root_;
  std::unique_ptr<Database> database_;
  std::vector<Staging> staging_;
  base::UniqueFd root_fd_;  // open from the first staging on
};

}  // namespace storage
