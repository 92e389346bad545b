#include "storage/unpack/layer_unpacker.h"

#include <algorithm>
#include <exception>
#include <fcntl.h>
#include <mutex>
#include <new>
#include <span>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/text.h"
#include "storage/unpack/block_queue.h"
#include "storage/unpack/file_writers.h"
#include "storage/unpack/inflater.h"
#include "storage/unpack/layer_path.h"
#include "storage/unpack/tar_reader.h"
#include "storage/unpack/tar_recorder.h"
#include "storage/unpack/tree_writer.h"

namespace storage {
namespace {

constexpr std::size_t kBlocks = 4, kBlockBytes = 256U << 10U;
// Threads that fill files. A small layer is not worth two: others are unpacked beside it.
constexpr unsigned kWriters = 2, kWritersOfSmallLayer = 1;
constexpr std::uint64_t kSmallLayer = 1U << 20U;
constexpr std::uint64_t kRatioFloor = 1ULL << 30U;
// After damage was found the rest of a blob is still hashed where it is this short: "wrong digest"
// says more than what the damage looked like to a decoder.
constexpr std::uint64_t kWorthHashing = 16U << 20U;

[[noreturn]] void throw_corrupt(const std::string& text) {
  throw base::Error(base::ErrorKind::kCorrupt, text);
}

// Ends a thread whose neighbour has failed; never leaves this file.
struct Stopped {};

// The inflating thread's end of the tar's queue: counts what goes by.
class TarOutput : public InflateOutput {
 public:
  TarOutput(BlockQueue& queue, const UnpackLimits& limits) : queue_(queue), limits_(limits) {}

  std::span<char> space() override {
    if (filled_ == block_.size()) flush();
    if (block_.empty()) {
      block_ = queue_.reserve();
      if (block_.empty()) throw Stopped();
    }
    return block_.subspan(filled_);
  }

  void produce(std::size_t size) override {
    filled_ += size;
    total_ += size;
    if (total_ > limits_.layer_bytes) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "layer is larger than " + std::to_string(limits_.layer_bytes) + " bytes");
    }
    if (total_ > kRatioFloor && total_ / limits_.ratio > consumed_) {
      throw base::Error(
          base::ErrorKind::kInvalid,
          "layer inflates to more than " + std::to_string(limits_.ratio) + " times its size");
    }
  }

  void flush() {
    if (filled_ == 0) return;
    queue_.commit(filled_);
    block_ = {};
    filled_ = 0;
  }

  void consume(std::size_t size) { consumed_ += size; }  // before it is inflated
  std::uint64_t total() const { return total_; }

 private:
  BlockQueue& queue_;
  const UnpackLimits& limits_;
  std::span<char> block_;
  std::size_t filled_ = 0;
  std::uint64_t total_ = 0, consumed_ = 0;
};

// Whether the bytes, rather than this machine, are at fault.
bool is_bad_input(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const base::Error& error) {
    return error.kind() == base::ErrorKind::kCorrupt || error.kind() == base::ErrorKind::kInvalid;
  } catch (...) {
    return false;
  }
}

}  // namespace

struct LayerUnpacker::State {
  State(const std::filesystem::path& staging, const oci::Descriptor& descriptor,
        const oci::DiffId& diff_id, const UnpackLimits& unpack_limits,
        const OverlayPolicy& overlay_policy, const std::filesystem::path& beside)
      : blob(descriptor),
        expected(diff_id),
        limits(unpack_limits),
        policy(overlay_policy),
        tree(open_empty_tree(staging)),
        recorder(beside.empty() ? nullptr : std::make_unique<TarRecorder>(beside)),
        writers(blob.size < kSmallLayer ? kWritersOfSmallLayer : kWriters,
                [this](std::exception_ptr error) { fail(std::move(error)); }),
        inflating([this] { guard([this] { inflate(); }); }),
        parsing([this] { guard([this] { parse(); }); }) {}

  ~State() {
    stop();
    join();
  }

  template <class Body>
  void guard(Body body) {
    try {
      body();
    } catch (const Stopped&) {
    } catch (...) {
      fail(std::current_exception());
    }
  }

  void fail(std::exception_ptr error) {
    {
      const std::lock_guard lock(mutex);
      if (!failure) failure = std::move(error);
    }
    stop();
  }

  std::exception_ptr find_failure() {
    const std::lock_guard lock(mutex);
    return failure;
  }

  void stop() {
    compressed.abort();
    tar.abort();
  }

  void join() {
    if (inflating.joinable()) inflating.join();
    if (parsing.joinable()) parsing.join();
  }

  void inflate() {
    TarOutput output(tar, limits);
    Inflater inflater;
    for (;;) {
      const std::string_view input = compressed.front();
      if (input.empty()) break;
      output.consume(input.size());
      inflater.write(input, output);
      compressed.pop();
    }
    if (compressed.is_aborted()) throw Stopped();
    inflater.finish(output);
    output.flush();
    result.tar_bytes = output.total();
    tar.close();
  }

  void parse() {
    bool holds_block = false;
    // Here rather than where it is inflated: that is the longest of the steps that go on at a time.
    base::Sha256Hasher diff_hasher;
    TarReader reader(
        [&]() -> std::string_view {
          if (std::exchange(holds_block, true)) pop_tar();
          const std::string_view bytes = tar.front();
          if (bytes.empty() && tar.is_aborted()) throw Stopped();
          holds_block = !bytes.empty();
          diff_hasher.update(bytes);
          if (recorder) recorder->take(bytes);
          return bytes;
        },
        policy, limits.header_bytes);
    TreeWriter writer(std::move(tree), writers, policy, recorder.get());
    while (const TarEntry* entry = reader.next()) {
      if (++result.entries > limits.entries) {
        throw base::Error(base::ErrorKind::kInvalid,
                          "layer has more than " + std::to_string(limits.entries) + " entries");
      }
      check_size(*entry);
      check_depth(entry->path);
      writer.add(*entry, reader);
    }
    // What stands behind the end of the archive belongs to the DiffID, too.
    if (holds_block) pop_tar();
    for (std::string_view rest; !(rest = tar.front()).empty(); pop_tar()) {
      diff_hasher.update(rest);
      if (recorder) recorder->take(rest);
    }
    if (tar.is_aborted()) throw Stopped();
    diff_hex = diff_hasher.finish();
    if (recorder) recorder->finish();
    writers.finish();
    if (find_failure()) throw Stopped();
    result.record = writer.finish();
    result.disk_bytes = writer.disk_bytes();
  }

  void check_depth(const std::string& path) const {
    if (limits.path_depth >= kMaxPathDepth) return;  // which TreeWriter looks at
    if (parse_layer_path(path).size() <= limits.path_depth) return;
    throw base::Error(base::ErrorKind::kInvalid, base::printable(path) + ": more than " +
                                                     std::to_string(limits.path_depth) +
                                                     " levels deep");
  }

  void pop_tar() {
    if (recorder) recorder->release();
    tar.pop();
  }

  // A sparse file's size costs nothing here, but everything wherever it is copied.
  void check_size(const TarEntry& entry) const {
    if (entry.size <= limits.layer_bytes) return;
    throw base::Error(base::ErrorKind::kInvalid, base::printable(entry.path) + ": larger than " +
                                                     std::to_string(limits.layer_bytes) + " bytes");
  }

  // The caller's thread. Whether what has failed is the input, of which so little is missing that
  // its digest is worth knowing; any other failure is rethrown.
  bool only_hashes() {
    const std::exception_ptr error = find_failure();
    if (!error) return false;
    if (!is_bad_input(error) || blob.size - received > kWorthHashing) std::rethrow_exception(error);
    return true;
  }

  std::span<char> space() {
    if (!only_hashes()) {
      if (block.empty()) block = compressed.reserve();
      if (!block.empty()) return block.subspan(filled);
      only_hashes();  // aborted: throws, or the rest is hashed
    }
    block = {};
    filled = 0;
    unused.resize(kBlockBytes);
    return unused;
  }

  void flush() {
    compressed.commit(std::exchange(filled, 0));
    block = {};
  }

  const oci::Descriptor blob;
  const oci::DiffId expected;
  const UnpackLimits limits;
  const OverlayPolicy policy;

  base::Sha256Hasher blob_hasher;
  std::uint64_t received = 0;
  std::span<char> block;     // being filled
  std::vector<char> unused;  // where bytes go that are only hashed
  std::size_t filled = 0;

  std::mutex mutex;
  std::exception_ptr failure;  // the first one
  Result result;               // the threads' until they are joined
  std::string diff_hex;
  base::UniqueFd tree;
  const std::unique_ptr<TarRecorder> recorder;  // null: nothing is recorded

  BlockQueue compressed{kBlocks, kBlockBytes}, tar{kBlocks, kBlockBytes};
  FileWriters writers;
  std::thread inflating, parsing;  // last: everything they use is there
};

LayerUnpacker::LayerUnpacker(const std::filesystem::path& staging, const oci::Descriptor& blob,
                             const oci::DiffId& expected, const UnpackLimits& limits,
                             const OverlayPolicy& policy, const std::filesystem::path& beside)
    : state_(std::make_unique<State>(staging, blob, expected, limits, policy, beside)) {}

LayerUnpacker::~LayerUnpacker() = default;

void LayerUnpacker::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::span<char> target = space();
    const std::size_t count = std::min(bytes.size(), target.size());
    std::copy_n(bytes.data(), count, target.data());
    produce(count);
    bytes.remove_prefix(count);
  }
}

std::span<char> LayerUnpacker::space() { return state_->space(); }

void LayerUnpacker::produce(std::size_t size) {
  State& state = *state_;
  if (size > state.blob.size - state.received) {
    throw_corrupt("longer than the " + std::to_string(state.blob.size) +
                  " bytes that its manifest says");
  }
  state.received += size;
  if (state.block.empty()) {
    state.blob_hasher.update({state.unused.data(), size});
    return;
  }
  state.blob_hasher.update({state.block.data() + state.filled, size});
  state.filled += size;
  if (state.filled == state.block.size()) state.flush();
}

LayerUnpacker::Result LayerUnpacker::finish() {
  State& state = *state_;
  if (state.received != state.blob.size) {
    throw_corrupt("ended after " + std::to_string(state.received) + " of " +
                  std::to_string(state.blob.size) + " bytes");
  }
  if (state.filled > 0) state.flush();
  state.compressed.close();
  state.join();
  const std::string hex = state.blob_hasher.finish();
  if (hex != state.blob.digest.hex()) {
    throw_corrupt("digest mismatch: expected " + state.blob.digest.str() + ", got sha256:" + hex);
  }
  if (state.failure) std::rethrow_exception(state.failure);
  if (state.diff_hex != state.expected.hex()) {
    throw_corrupt("uncompressed digest mismatch: expected " + state.expected.str() +
                  ", got sha256:" + state.diff_hex);
  }
  return std::move(state.result);
}

}  // namespace storage
