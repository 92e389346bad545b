// BlockQueue: a bounded pipe of byte blocks between two threads; its blocks are allocated once,
// when needed.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>
#include <vector>

namespace storage {

// One producer, one consumer. Whatever is committed before close() reaches the consumer; abort()
// makes both sides return empty at once, for ever.
class BlockQueue {
 public:
  BlockQueue(std::size_t blocks, std::size_t block_bytes);

  // Producer: waits for a free block. Empty after abort().
  std::span<char> reserve();
  void commit(std::size_t size);  // the first `size` bytes of the reserved block
  void close();                   // nothing more will come

  // Consumer: waits for a block; empty at the end and after abort(). The view lives until pop().
  std::string_view front();
  void pop();

  void abort();
  bool is_aborted();

 private:
  struct Block {
    std::unique_ptr<char[]> bytes;  // when it is first used: most layers are small
    std::size_t size = 0;
  };
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Block> blocks_;
  const std::size_t block_bytes_;
  std::size_t head_ = 0, count_ = 0;  // of the committed blocks
  bool closed_ = false, aborted_ = false;
};

}  // namespace storage
