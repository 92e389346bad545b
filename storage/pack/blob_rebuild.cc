#include "storage/pack/blob_rebuild.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>
#include <zstd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/trace.h"
#include "storage/pack/blob_record.h"
#include "storage/pack/compressor.h"
#include "storage/pack/layer_tar.h"

namespace storage {
namespace {

constexpr std::size_t kBufferBytes = 256U << 10U;
constexpr std::size_t kMaxHeadBytes = 4096;
constexpr std::size_t kMaxTailBytes = 512;  // of gzip: 8, and what padding a tool leaves
// What a row says where a search found nothing; before the number of the search that did.
constexpr std::string_view kNoRecipePrefix = "none";
constexpr std::string_view kDigits = "0123456789abcdef";

using Method = CompressorChoice::Method;

struct Mismatch {};  // ends an attempt; never leaves this file

struct Recipe {
  CompressorChoice choice;
  std::string head, tail;
};

std::string to_hex(std::string_view bytes) {
  if (bytes.empty()) return "-";
  std::string text;
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    text += kDigits[value >> 4U];
    text += kDigits[value & 15U];
  }
  return text;
}

std::string from_hex(std::string_view text) {
  if (text == "-") return {};
  std::string bytes;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    const std::size_t high = kDigits.find(text[i]);
    const std::size_t low = kDigits.find(text[i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) {
      throw base::Error(base::ErrorKind::kCorrupt, "a blob's recipe is damaged");
    }
    bytes += static_cast<char>(high << 4U | low);
  }
  return bytes;
}

Recipe parse_recipe(std::string_view text) {
  const std::size_t tail = text.rfind(' ');
  const std::size_t head = tail == std::string_view::npos ? tail : text.rfind(' ', tail - 1);
  if (head == std::string_view::npos) {
    throw base::Error(base::ErrorKind::kCorrupt, "a blob's recipe is damaged");
  }
  return {.choice = parse_choice(text.substr(0, head)),
          .head = from_hex(text.substr(head + 1, tail - head - 1)),
          .tail = from_hex(text.substr(tail + 1))};
}

class BlobFile {
 public:
  explicit BlobFile(const fs::path& path) : fd_(base::open_file(path, O_RDONLY | O_NOFOLLOW)) {
    struct stat info = {};
    base::check(fstat(fd_.get(), &info), "stat");
    size_ = static_cast<std::uint64_t>(info.st_size);
  }

  std::uint64_t size() const { return size_; }

  std::string_view read(std::uint64_t offset, std::size_t size) {
    buffer_.resize(size);
    std::size_t done = 0;
    while (done < size) {
      const ssize_t count = base::check(
          pread(fd_.get(), buffer_.data() + done, size - done, static_cast<off_t>(offset + done)),
          "read blob");
      if (count == 0) break;
      done += static_cast<std::size_t>(count);
    }
    buffer_.resize(done);
    return buffer_;
  }

 private:
  base::UniqueFd fd_;
  std::uint64_t size_ = 0;
  std::string buffer_;
};

// The length of the header of a gzip member (RFC 1952, 2.3.1); 0 where it is none that we take.
std::size_t gzip_header_size(std::string_view bytes) {
  constexpr unsigned kHasChecksum = 2, kHasExtra = 4, kHasName = 8, kHasComment = 16;
  if (bytes.size() < 10 || !bytes.starts_with("\x1f\x8b\x08")) return 0;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
  const unsigned flags = byte(3);
  std::size_t at = 10;
  if ((flags & kHasExtra) != 0) {
    if (bytes.size() < at + 2) return 0;
    at += 2 + byte(at) + (static_cast<std::size_t>(byte(at + 1)) << 8U);
  }
  for (const unsigned flag : {kHasName, kHasComment}) {
    if ((flags & flag) == 0) continue;
    const std::size_t end = at < bytes.size() ? bytes.find('\0', at) : std::string_view::npos;
    if (end == std::string_view::npos) return 0;
    at = end + 1;
  }
  if ((flags & kHasChecksum) != 0) at += 2;
  return at < bytes.size() ? at : 0;
}

// Most likely first. The header's XFL says "slowest" or "fastest" (RFC 1952), nothing in between.
std::vector<CompressorChoice> plan_deflate(unsigned char extra_flags) {
  std::vector<int> levels = {6, 9, 1, 5, 4, 7, 8, 3, 2};
  if (extra_flags == 2) std::rotate(levels.begin(), levels.begin() + 1, levels.begin() + 2);
  if (extra_flags == 4) std::rotate(levels.begin(), levels.begin() + 2, levels.begin() + 3);
  std::vector<CompressorChoice> plan;
  for (const unsigned memory : {8U, 9U}) {
    for (const int level : levels) {
      plan.push_back({.method = Method::kZlib, .level = level, .parameter = memory});
    }
  }
  for (const int level : {1, 2, 3, 0}) plan.push_back({.method = Method::kIsal, .level = level});
  if (has_gzip_program()) {
    for (const int level : levels) plan.push_back({.method = Method::kGzipProgram, .level = level});
  }
  return plan;
}

std::vector<CompressorChoice> plan_zstd(std::string_view head, std::uint64_t tar_size) {
  // RFC 8878, section 3.1.1: the magic number, then the frame header's descriptor.
  constexpr unsigned kHasChecksum = 4;
  if (!head.starts_with("\x28\xb5\x2f\xfd") || head.size() < 5) return {};
  unsigned flags = (static_cast<unsigned char>(head[4]) & kHasChecksum) != 0 ? kZstdChecksum : 0;
  if (ZSTD_getFrameContentSize(head.data(), head.size()) == tar_size) flags |= kZstdContentSize;
  std::vector<CompressorChoice> plan;
  for (const int level : {3, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19}) {
    for (const unsigned worker : {0U, kZstdWorker}) {
      plan.push_back({.method = Method::kZstd,
                      .level = level,
                      .parameter = flags | worker,
                      .input_size = tar_size});
    }
  }
  return plan;
}

// Compresses the layer's tar and compares: true where the blob's bytes from `head_size` on begin
// with what comes out; the rest is its tail.
bool try_choice(const Store& store, const BlobRow& blob, BlobFile& file, std::size_t head_size,
                const CompressorChoice& choice, std::string& tail) {
  std::uint64_t offset = head_size;
  try {
    const auto compressor = make_compressor(choice, [&](std::string_view bytes) {
      if (bytes != file.read(offset, bytes.size())) throw Mismatch();
      offset += bytes.size();
    });
    write_layer_tar(store, blob.layer, [&](std::string_view bytes) { compressor->write(bytes); });
    compressor->finish();
  } catch (const Mismatch&) {
    return false;
  }
  if (file.size() - offset > kMaxTailBytes) return false;
  tail = file.read(offset, static_cast<std::size_t>(file.size() - offset));
  return true;
}

void check_digest(const BlobRow& blob, base::Sha256Hasher& hasher) {
  if (const std::string hex = hasher.finish(); hex != blob.digest.hex()) {
    throw base::Error(base::ErrorKind::kCorrupt, "blob " + blob.digest.hex().substr(0, 12) +
                                                     ": expected " + blob.digest.str() +
                                                     ", got sha256:" + hex);
  }
}

void write_kept(const BlobRow& blob, BlobFile& file,
                const std::function<void(std::string_view)>& sink) {
  base::Sha256Hasher hasher;
  for (std::uint64_t offset = 0; offset < file.size();) {
    const std::string_view bytes = file.read(offset, kBufferBytes);
    if (bytes.empty()) break;
    hasher.update(bytes);
    sink(bytes);
    offset += bytes.size();
  }
  check_digest(blob, hasher);
}

void write_made(const Store& store, const BlobRow& blob,
                const std::function<void(std::string_view)>& sink) {
  base::Sha256Hasher hasher;
  const auto give = [&](std::string_view bytes) {
    hasher.update(bytes);
    sink(bytes);
  };
  if (is_record_recipe(blob.recipe)) {
    write_recorded_blob(store, blob, give);
    return check_digest(blob, hasher);
  }
  Recipe recipe = parse_recipe(blob.recipe);
  if (recipe.choice.method == Method::kZstd) {
    recipe.choice.input_size = layer_tar_size(store, blob.layer);
  }
  if (!recipe.head.empty()) give(recipe.head);
  const auto compressor = make_compressor(recipe.choice, give);
  write_layer_tar(store, blob.layer, [&](std::string_view bytes) { compressor->write(bytes); });
  compressor->finish();
  if (!recipe.tail.empty()) give(recipe.tail);
  check_digest(blob, hasher);
}

std::optional<BlobFile> open_kept(const Store& store, const BlobRow& blob) {
  if (!blob.kept) return std::nullopt;
  try {
    return BlobFile(store.blob_path(blob.digest));
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kNotFound) throw;
    return std::nullopt;
  }
}

}  // namespace

std::optional<std::string> find_recipe(const Store& store, const BlobRow& blob) {
  if (!has_layer_tar(store, blob.layer)) return std::nullopt;
  auto file = open_kept(store, blob);
  if (!file) return std::nullopt;
  // A damaged blob has no recipe, and without this the search would only not find one.
  write_kept(blob, *file, [](std::string_view) {});
  const std::string head(file->read(0, kMaxHeadBytes));
  const std::size_t head_size = gzip_header_size(head);
  const std::uint64_t tar_size = layer_tar_size(store, blob.layer);
  std::vector<CompressorChoice> plan;
  if (head_size > 0) {
    plan = plan_deflate(static_cast<unsigned char>(head[8]));
  } else if (file->size() == tar_size) {
    plan = {{.method = Method::kPlain}};
  } else {
    plan = plan_zstd(head, tar_size);
  }
  std::string tail;
  for (const CompressorChoice& choice : plan) {
    if (!try_choice(store, blob, *file, head_size, choice, tail)) continue;
    base::trace("storage", "blob " + blob.digest.hex().substr(0, 12) +
                               " can be made again: " + render_choice(choice));
    return render_choice(choice) + " " + to_hex(head.substr(0, head_size)) + " " + to_hex(tail);
  }
  return head_size > 0 ? make_blob_record(store, blob) : std::nullopt;
}

bool has_recipe(const BlobRow& blob) {
  return !blob.recipe.empty() && !blob.recipe.starts_with(kNoRecipePrefix);
}

void write_blob(const Store& store, const BlobRow& blob,
                const std::function<void(std::string_view)>& sink) {
  if (auto file = open_kept(store, blob)) return write_kept(blob, *file, sink);
  if (!has_recipe(blob)) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "blob " + blob.digest.hex().substr(0, 12) + " is not kept");
  }
  write_made(store, blob, sink);
}

bool needs_program(const BlobRow& blob) {
  if (blob.kept || !has_recipe(blob) || is_record_recipe(blob.recipe)) return false;
  return parse_recipe(blob.recipe).choice.method == Method::kGzipProgram;
}

}  // namespace storage
