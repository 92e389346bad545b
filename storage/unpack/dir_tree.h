// DirTree: the directories of a layer while it is unpacked: attributes that wait for the end, and
// open descriptors.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/unique_fd.h"
#include "storage/unpack/attributes.h"

namespace storage {

class DirTree;

// A node exists exactly as long as the directory does: whoever removes the one removes the other,
// so a descriptor found here is never that of a replaced directory (CVE-2025-47290).
class DirNode {
 public:
  DirNode(DirTree& tree, DirNode* parent, std::string name);
  DirNode(const DirNode&) = delete;
  DirNode& operator=(const DirNode&) = delete;
  ~DirNode();

  DirNode* parent() const { return parent_; }  // null: the root
  const std::string& name() const { return name_; }
  std::string path() const;
  bool is_below(const DirNode& other) const;  // or the same
  bool is_hidden_from_lower() const;          // it or a directory above it is opaque

  std::optional<Attributes> attributes;  // of its entry; none: implied by an entry below it
  timespec implied_time = {};            // of the entry that implied it
  bool opaque = false;
  // Names that have a whiteout here. An entry may have taken its place; what lies below stays
  // deleted nevertheless.
  std::set<std::string, std::less<>> deleted;
  std::map<std::string, std::unique_ptr<DirNode>, std::less<>> children;

 private:
  friend class DirTree;
  DirTree& tree_;
  DirNode* parent_;
  std::string name_;
  std::size_t depth_;
  base::UniqueFd fd_;
  std::list<DirNode*>::iterator recent_;  // meaningful while fd_ is open
};

// Keeps at most kMaxOpen directories open besides the root. One thread.
class DirTree {
 public:
  static constexpr std::size_t kMaxOpen = 32;
  // What the nodes may take together; a layer with more directories than that is an attack.
  static constexpr std::size_t kMaxBytes = 256U << 20U;

  explicit DirTree(base::UniqueFd root);

  DirNode& root() { return *root_; }
  static DirNode* find_child(DirNode& node, std::string_view name);
  // The directory itself must exist. Throws kInvalid above kMaxBytes and
  // kMaxPathDepth, which links inside the layer could otherwise exceed.
  DirNode& add(DirNode& parent, std::string_view name);
  void remove(DirNode& node);
  void add_deleted(DirNode& parent, const std::string& name);  // limited as add() is
  // O_PATH, or for the root what was given; lent until the next call but one. Throws.
  int fd_of(DirNode& node);

 private:
  friend class DirNode;
  void charge(std::size_t bytes);

  std::list<DirNode*> recent_;  // last used first; outlives the nodes
  std::size_t bytes_ = 0;
  std::unique_ptr<DirNode> root_;
};

}  // namespace storage
