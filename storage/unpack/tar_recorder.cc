#include "storage/unpack/tar_recorder.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <new>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"

namespace storage {
namespace {

// Headers and padding shrink to a tenth at any level; the fast ones cost a pull less than 1 %.
constexpr int kLevel = 1;
constexpr std::size_t kBufferBytes = 64U << 10U;
// A path this long is not opened by one system call (PATH_MAX): its file's content is kept raw.
constexpr std::size_t kMaxPathBytes = 4000;
constexpr std::uint64_t kMaxReplaced = 65536;  // of duplicate names; more is no tool's work

void put_number(std::string& text, std::uint64_t number) {
  while (number >= 0x80U) {
    text += static_cast<char>((number & 0x7fU) | 0x80U);
    number >>= 7U;
  }
  text += static_cast<char>(number);
}

void put_operation(std::string& text, TarOperation operation) {
  text += static_cast<char>(operation);
}

void put_path(std::string& text, const std::string& path) {
  put_number(text, path.size());
  text += path;
}

}  // namespace

struct TarRecorder::Compressor {
  explicit Compressor(const std::filesystem::path& file)
      : fd(base::open_file(file, O_WRONLY | O_CREAT | O_EXCL, 0600)), context(ZSTD_createCCtx()) {
    if (!context) throw std::bad_alloc();
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, kLevel);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, 1);
    base::write_all(fd.get(), kTarRecordMagic);
  }

  void write(std::string_view bytes, ZSTD_EndDirective directive = ZSTD_e_continue) {
    ZSTD_inBuffer in = {bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out = {output.data(), output.size(), 0};
      const std::size_t left = ZSTD_compressStream2(context.get(), &out, &in, directive);
      if (ZSTD_isError(left) != 0) {
        throw base::Error(base::ErrorKind::kSystem,
                          std::string("zstd: ") + ZSTD_getErrorName(left));
      }
      base::write_all(fd.get(), {output.data(), out.pos});
      if (directive == ZSTD_e_end ? left == 0 : in.pos == in.size) return;
    }
  }

  base::UniqueFd fd;
  base::CHandle<ZSTD_CCtx, ZSTD_freeCCtx> context;
  std::string output = std::string(kBufferBytes, '\0');
};

TarRecorder::TarRecorder(const std::filesystem::path& folder)
    : folder_(folder), compressor_(std::make_unique<Compressor>(folder / kTarRecordName)) {}

TarRecorder::~TarRecorder() = default;

void TarRecorder::take(std::string_view bytes) {
  block_start_ += block_.size();
  block_ = bytes;
}

void TarRecorder::release() {
  keep_until(block_start_ + block_.size());
  block_start_ += block_.size();
  block_ = {};
}

// The stream's bytes up to `position` are nobody's content.
void TarRecorder::keep_until(std::uint64_t position) {
  if (position <= recorded_) return;
  if (compressor_) {
    flush_file();
    const std::string_view bytes = block_.substr(recorded_ - block_start_, position - recorded_);
    std::string head;
    put_operation(head, TarOperation::kRaw);
    put_number(head, bytes.size());
    compressor_->write(head);
    compressor_->write(bytes);
  }
  recorded_ = position;
}

void TarRecorder::flush_file() {
  if (file_size_ == 0) return;
  std::string text;
  if (file_ == last_file_) {
    put_operation(text, TarOperation::kSameFile);
  } else {
    put_operation(text, TarOperation::kFile);
    put_path(text, file_);
    last_file_ = file_;
  }
  put_number(text, file_offset_);
  put_number(text, file_size_);
  compressor_->write(text);
  file_size_ = 0;
}

void TarRecorder::content(std::uint64_t position, std::uint64_t size, const std::string& path,
                          std::uint64_t offset) {
  if (!compressor_ || path.size() > kMaxPathBytes) return;
  // Only what lies in the block at hand and is not recorded yet can be claimed.
  const std::uint64_t end = std::min(position + size, block_start_ + block_.size());
  if (position < recorded_) {
    offset += recorded_ - position;
    position = recorded_;
  }
  if (position >= end) return;
  keep_until(position);
  const bool continues = file_size_ > 0 && file_ == path && file_offset_ + file_size_ == offset;
  if (!continues) {
    flush_file();
    file_ = path;
    file_offset_ = offset;
  }
  file_size_ += end - position;
  recorded_ = end;
}

bool TarRecorder::set_aside(int dir_fd, const std::string& name, const std::string& path) {
  if (!compressor_) return false;
  struct stat info = {};
  if (fstatat(dir_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return false;
  if (!S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode)) return false;
  if (replaced_count_ == kMaxReplaced) {
    give_up();
    return false;
  }
  if (!replaced_) {
    base::make_dirs(folder_ / kReplacedName, 0700);
    replaced_ = base::open_file(folder_ / kReplacedName, O_PATH | O_DIRECTORY);
  }
  const std::string number = std::to_string(replaced_count_);
  if (renameat(dir_fd, name.c_str(), replaced_.get(), number.c_str()) != 0) {
    base::throw_errno("set aside what is replaced");
  }
  ++replaced_count_;
  flush_file();
  std::string text;
  put_operation(text, TarOperation::kReplaced);
  put_path(text, path);
  compressor_->write(text);
  last_file_.clear();
  return true;
}

// The layer is as good without: it can't be written as a tar again, and says so.
void TarRecorder::give_up() noexcept {
  base::trace("storage", "too many duplicate names: the layer's tar is not recorded");
  compressor_.reset();
  static_cast<void>(unlink((folder_ / kTarRecordName).c_str()));
}

void TarRecorder::finish() {
  release();
  if (!compressor_) return;
  flush_file();
  std::string text;
  put_operation(text, TarOperation::kEnd);
  put_number(text, recorded_);
  compressor_->write(text, ZSTD_e_end);
  compressor_.reset();
}

}  // namespace storage
