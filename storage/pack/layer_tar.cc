#include "storage/pack/layer_tar.h"

#include <algorithm>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "base/text.h"
#include "storage/pack/record_reader.h"

namespace storage {
namespace {

constexpr std::size_t kCopyBytes = 256U << 10U;

[[noreturn]] void throw_corrupt(const std::string& text) {
  throw base::Error(base::ErrorKind::kCorrupt, text);
}

// Files of the layer as they were when the tar was read: one that a later entry of the same name
// replaced is beside the layer now.
class LayerFiles {
 public:
  LayerFiles(const fs::path& diff, const fs::path& extras)
      : diff_(base::open_file(diff, O_PATH | O_DIRECTORY)),
        extras_(base::open_file(extras, O_PATH | O_DIRECTORY)) {
    RecordReader reader(extras / kTarRecordName);
    for (std::uint64_t index = 0;; ++index) {
      RecordStep step = reader.next();
      while (!reader.read_raw().empty()) {
      }
      if (step.operation == TarOperation::kEnd) break;
      if (step.operation == TarOperation::kReplaced) {
        replaced_.push_back({index, std::move(step.path)});
      }
    }
  }

  // `index` counts the record's steps.
  void open(const std::string& path, std::uint64_t index) {
    const std::string replaced = find_replaced(path, index);
    const std::string& location = replaced.empty() ? path : replaced;
    if (location == location_ && !replaced.empty() == is_replaced_ && file_) return;
    location_ = location;
    is_replaced_ = !replaced.empty();
    file_ = base::open_in_root(is_replaced_ ? extras_.get() : diff_.get(), location,
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    struct stat info = {};
    base::check(fstat(file_.get(), &info), "stat");
    if (!S_ISREG(info.st_mode)) throw_corrupt("not a regular file");
  }
  int fd() const { return file_.get(); }

 private:
  struct Replaced {
    std::uint64_t index = 0;
    std::string path;
  };

  static bool is_at_or_below(const std::string& path, const std::string& above) {
    return path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '/');
  }

  // Empty: nothing took its place.
  std::string find_replaced(const std::string& path, std::uint64_t index) const {
    auto entry = std::upper_bound(
        replaced_.begin(), replaced_.end(), index,
        [](std::uint64_t value, const Replaced& other) { return value < other.index; });
    for (; entry != replaced_.end(); ++entry) {
      if (!is_at_or_below(path, entry->path)) continue;
      return std::string(kReplacedName) + "/" + std::to_string(entry - replaced_.begin()) +
             path.substr(entry->path.size());
    }
    return {};
  }

  base::UniqueFd diff_, extras_, file_;
  std::string location_;
  bool is_replaced_ = false;
  std::vector<Replaced> replaced_;  // in the record's order
};

class TarRebuild {
 public:
  TarRebuild(const fs::path& diff, const fs::path& extras,
             const std::function<void(std::string_view)>& sink)
      : record_(extras / kTarRecordName), files_(diff, extras), sink_(sink) {}

  // Returns the DiffID of what was written.
  std::string run() {
    RecordReader reader(record_);
    for (std::uint64_t index = 0;; ++index) {
      const RecordStep step = reader.next();
      switch (step.operation) {
        case TarOperation::kRaw:
          for (std::string_view bytes; !(bytes = reader.read_raw()).empty();) give(bytes);
          break;
        case TarOperation::kFile:
        case TarOperation::kSameFile:
          base::while_doing(base::printable(step.path), [&] { give_file(step, index); });
          break;
        case TarOperation::kReplaced:
          break;
        case TarOperation::kEnd:
          return hasher_.finish();
      }
    }
  }

 private:
  void give(std::string_view bytes) {
    hasher_.update(bytes);
    sink_(bytes);
  }

  void give_file(const RecordStep& step, std::uint64_t index) {
    try {
      files_.open(step.path, index);
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kNotFound) throw;
      throw_corrupt("a file of the layer is missing");
    }
    std::uint64_t offset = step.offset;
    for (std::uint64_t left = step.size; left > 0;) {
      const std::size_t wanted = std::min<std::uint64_t>(left, buffer_.size());
      const ssize_t count = base::check(
          pread(files_.fd(), buffer_.data(), wanted, static_cast<off_t>(offset)), "read");
      if (count == 0) throw_corrupt("a file of the layer has become shorter");
      give({buffer_.data(), static_cast<std::size_t>(count)});
      offset += static_cast<std::uint64_t>(count);
      left -= static_cast<std::uint64_t>(count);
    }
  }

  const fs::path record_;
  LayerFiles files_;
  const std::function<void(std::string_view)>& sink_;
  base::Sha256Hasher hasher_;
  std::vector<char> buffer_ = std::vector<char>(kCopyBytes);
};

void check_layer(const Store& store, const oci::DiffId& layer) {
  struct stat info = {};
  if (stat(store.layer_dir(layer.hex()).c_str(), &info) == 0) return;
  throw base::Error(base::ErrorKind::kNotFound, "no layer " + layer.hex().substr(0, 12));
}

}  // namespace

bool has_layer_tar(const Store& store, const oci::DiffId& layer) {
  return access((store.layer_extras(layer.hex()) / kTarRecordName).c_str(), R_OK) == 0;
}

std::uint64_t layer_tar_size(const Store& store, const oci::DiffId& layer) {
  check_layer(store, layer);
  RecordReader reader(store.layer_extras(layer.hex()) / kTarRecordName);
  for (;;) {
    const RecordStep step = reader.next();
    while (!reader.read_raw().empty()) {
    }
    if (step.operation == TarOperation::kEnd) return step.size;
  }
}

void write_recorded_tar(const fs::path& diff, const fs::path& extras, const oci::DiffId& layer,
                        const std::function<void(std::string_view)>& sink) {
  const std::string hex = TarRebuild(diff, extras, sink).run();
  if (hex == layer.hex()) return;
  throw_corrupt("its files have changed: expected " + layer.str() + ", got sha256:" + hex);
}

void write_layer_tar(const Store& store, const oci::DiffId& layer,
                     const std::function<void(std::string_view)>& sink) {
  base::while_doing("write layer " + layer.hex().substr(0, 12) + " as tar", [&] {
    check_layer(store, layer);
    write_recorded_tar(store.layer_dir(layer.hex()), store.layer_extras(layer.hex()), layer, sink);
  });
}

}  // namespace storage
