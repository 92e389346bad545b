#include "storage/unpack/dir_tree.h"

#include <fcntl.h>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "storage/unpack/layer_path.h"

namespace storage {
namespace {

std::size_t weight_of(std::string_view name) { return sizeof(DirNode) + 64 + 2 * name.size(); }

}  // namespace

DirNode::DirNode(DirTree& tree, DirNode* parent, std::string name)
    : tree_(tree),
      parent_(parent),
      name_(std::move(name)),
      depth_(parent == nullptr ? 0 : parent->depth_ + 1) {}

DirNode::~DirNode() {
  if (fd_ && parent_ != nullptr) tree_.recent_.erase(recent_);
  tree_.bytes_ -= weight_of(name_);
  for (const std::string& name : deleted) tree_.bytes_ -= weight_of(name);
}

std::string DirNode::path() const {
  std::string text;
  for (const DirNode* node = this; node->parent_ != nullptr; node = node->parent_) {
    text.insert(0, text.empty() ? node->name_ : node->name_ + "/");
  }
  return text;
}

bool DirNode::is_below(const DirNode& other) const {
  for (const DirNode* node = this; node != nullptr; node = node->parent_) {
    if (node == &other) return true;
  }
  return false;
}

bool DirNode::is_hidden_from_lower() const {
  for (const DirNode* node = this; node != nullptr; node = node->parent_) {
    if (node->opaque) return true;
  }
  return false;
}

DirTree::DirTree(base::UniqueFd root)
    : bytes_(weight_of({})), root_(std::make_unique<DirNode>(*this, nullptr, std::string())) {
  root_->fd_ = std::move(root);
}

DirNode* DirTree::find_child(DirNode& node, std::string_view name) {
  const auto found = node.children.find(name);
  return found == node.children.end() ? nullptr : found->second.get();
}

DirNode& DirTree::add(DirNode& parent, std::string_view name) {
  charge(weight_of(name));
  auto node = std::make_unique<DirNode>(*this, &parent, std::string(name));
  if (node->depth_ > kMaxPathDepth) {
    throw base::Error(base::ErrorKind::kInvalid, "more than 512 levels deep");
  }
  return *(parent.children[node->name_] = std::move(node));
}

void DirTree::charge(std::size_t bytes) {
  bytes_ += bytes;
  if (bytes_ > kMaxBytes) {
    throw base::Error(base::ErrorKind::kInvalid, "too many directories and whiteouts in one layer");
  }
}

void DirTree::add_deleted(DirNode& parent, const std::string& name) {
  if (parent.deleted.insert(name).second) charge(weight_of(name));
}

void DirTree::remove(DirNode& node) { node.parent_->children.erase(node.name_); }

int DirTree::fd_of(DirNode& node) {
  if (node.fd_) {
    if (node.parent_ != nullptr) recent_.splice(recent_.begin(), recent_, node.recent_);
    return node.fd_.get();
  }
  std::vector<DirNode*> way;  // from the node up to below the nearest open directory
  DirNode* open = &node;
  for (; !open->fd_; open = open->parent_) way.push_back(open);
  base::UniqueFd fd;
  int from = open->fd_.get();
  for (auto step = way.rbegin(); step != way.rend(); ++step) {
    fd = base::open_at(from, (*step)->name_, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    from = fd.get();
  }
  if (recent_.size() == kMaxOpen) {
    recent_.back()->fd_.reset();
    recent_.pop_back();
  }
  recent_.push_front(&node);
  node.recent_ = recent_.begin();
  node.fd_ = std::move(fd);
  return from;
}

}  // namespace storage
