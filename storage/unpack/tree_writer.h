// TreeWriter: makes a layer's entries in one directory, by overlay2's rules, without ever resolving
// a path as a string.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "storage/unpack/dir_tree.h"
#include "storage/unpack/file_writers.h"
#include "storage/unpack/layer_path.h"
#include "storage/unpack/layer_record.h"
#include "storage/unpack/overlay_policy.h"
#include "storage/unpack/tar_reader.h"
#include "storage/unpack/tar_recorder.h"

namespace storage {

// One thread; files' bytes go to `writers`. The directory must be private to us, owned by our
// effective ids and empty. Entries may come in any order and more than once: the last wins
// (image-spec, layer.md). Throws kInvalid for entries that no layer may have.
class TreeWriter {
 public:
  // `recorder`, where there is one, is told which bytes of the tar are which file's.
  TreeWriter(base::UniqueFd root, FileWriters& writers, const OverlayPolicy& policy,
             TarRecorder* recorder = nullptr);

  // Makes the entry; of a file with data `reader` gives it.
  void add(const TarEntry& entry, TarReader& reader);

  // After the last entry: whiteouts that mean nothing go, directories get their attributes, deepest
  // first. All files must be finished.
  LayerRecord finish();

  std::uint64_t disk_bytes() const { return disk_bytes_; }

 private:
  enum class Purpose { kEntry, kWhiteout, kOpaque, kLookup };
  struct Walk;
  DirNode* find_directory(const LayerPath& path, Purpose purpose, const timespec& time);
  DirNode* enter(DirNode& node, const std::string& name, Walk& walk);
  DirNode& make_directory(DirNode& parent, const std::string& name, const timespec& time);
  void clear(DirNode& parent, const std::string& name);
  template <class Create>
  int create(DirNode& parent, const std::string& name, Create create);

  void add_entry(const LayerPath& path, const TarEntry& entry, TarReader& reader);
  void add_root(const TarEntry& entry);
  void add_directory(DirNode& parent, const std::string& name, const TarEntry& entry);
  void add_file(DirNode& parent, const std::string& name, const TarEntry& entry, TarReader& reader);
  void add_nameless(const std::string& name, const TarEntry& entry, TarReader& reader);
  bool link_nameless(DirNode& parent, const std::string& name, const LayerPath& target);
  void add_device(DirNode& parent, const std::string& name, const TarEntry& entry);
  void add_symlink(DirNode& parent, const std::string& name, const TarEntry& entry);
  void add_hard_link(DirNode& parent, const std::string& name, const TarEntry& entry);
  void add_whiteout(DirNode& parent, const std::string& name);
  void defer_link(DirNode& parent, const std::string& name, std::string target);
  void forget_links(const DirNode& parent, const std::string& name);
  bool holds_only_whiteouts(DirNode& node);
  bool has_links_below(const DirNode& node) const;

  void check_deferred_target(const LayerPath& target);
  void finish_directory(DirNode& node, LayerRecord& record);

  DirTree tree_;
  FileWriters& writers_;
  OverlayPolicy policy_;
  TarRecorder* recorder_;
  // Hard links to files that did not exist, and their targets. The paths are of real directories.
  std::map<std::string, std::string> deferred_;
  std::size_t deferred_bytes_ = 0;
  std::map<std::string, base::UniqueFd, std::less<>> nameless_;  // AUFS's, by their names there
  std::uint64_t disk_bytes_ = 0;
};

}  // namespace storage
