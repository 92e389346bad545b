#include "storage/unpack/block_queue.h"

#include <cassert>

namespace storage {

BlockQueue::BlockQueue(std::size_t blocks, std::size_t block_bytes)
    : blocks_(blocks), block_bytes_(block_bytes) {}

std::span<char> BlockQueue::reserve() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return aborted_ || count_ < blocks_.size(); });
  if (aborted_) return {};
  Block& block = blocks_[(head_ + count_) % blocks_.size()];
  if (!block.bytes) block.bytes = std::make_unique_for_overwrite<char[]>(block_bytes_);
  return {block.bytes.get(), block_bytes_};
}

void BlockQueue::commit(std::size_t size) {
  if (size == 0) return;  // an empty view means the end
  const std::lock_guard lock(mutex_);
  assert(count_ < blocks_.size());
  blocks_[(head_ + count_) % blocks_.size()].size = size;
  ++count_;
  changed_.notify_all();
}

void BlockQueue::close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  changed_.notify_all();
}

std::string_view BlockQueue::front() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return aborted_ || closed_ || count_ > 0; });
  if (aborted_ || count_ == 0) return {};
  const Block& block = blocks_[head_];
  return {block.bytes.get(), block.size};
}

void BlockQueue::pop() {
  const std::lock_guard lock(mutex_);
  if (aborted_) return;
  assert(count_ > 0);
  head_ = (head_ + 1) % blocks_.size();
  --count_;
  changed_.notify_all();
}

void BlockQueue::abort() {
  const std::lock_guard lock(mutex_);
  aborted_ = true;
  changed_.notify_all();
}

bool BlockQueue::is_aborted() {
  const std::lock_guard lock(mutex_);
  return aborted_;
}

}  // namespace storage
