#include "storage/unpack/decompress.h"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <cerrno>
#include <exception>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "storage/unpack/inflater.h"

namespace storage {
namespace {

using namespace std::literals;

constexpr std::uint64_t kFreeBytes = 1ULL << 30U;
constexpr std::size_t kOutputBytes = 256U << 10U;

bool is_xz(std::string_view head) { return head.starts_with("\xfd\x37zXZ\0"sv); }
bool is_bzip2(std::string_view head) {
  return head.starts_with("BZh") &&
         (head.substr(4, 3) == "1AY" || head.substr(4, 3) == "\x17\x72\x45"sv);
}

// Counts both sides and stops a bomb.
class Guard {
 public:
  Guard(const std::function<void(std::string_view)>& sink, const DecompressLimits& limits)
      : sink_(sink), limits_(limits) {}

  void consume(std::size_t size) { in_ += size; }
  void produce(std::string_view bytes) {
    out_ += bytes.size();
    if (out_ > limits_.bytes || (out_ > kFreeBytes && out_ / limits_.ratio > in_)) {
      throw base::Error(base::ErrorKind::kInvalid, "the archive inflates to more than " +
                                                       base::human_size(out_ - bytes.size()) +
                                                       ": refused as a decompression bomb");
    }
    sink_(bytes);
  }

 private:
  const std::function<void(std::string_view)>& sink_;
  DecompressLimits limits_;
  std::uint64_t in_ = 0, out_ = 0;
};

class BufferOutput : public InflateOutput {
 public:
  explicit BufferOutput(Guard& guard) : guard_(guard), buffer_(kOutputBytes) {}
  std::span<char> space() override { return buffer_; }
  void produce(std::size_t size) override {
    if (size > 0) guard_.produce({buffer_.data(), size});
  }

 private:
  Guard& guard_;
  std::vector<char> buffer_;
};

// xz and bzip2, by libarchive's filters.
struct FilterInput {
  std::function<std::string_view()> source;
  std::exception_ptr failure;  // of `source`, which libarchive's C frames must not see

  static la_ssize_t on_read(archive*, void* self, const void** bytes) noexcept {
    auto& input = *static_cast<FilterInput*>(self);
    try {
      const std::string_view block = input.source();
      *bytes = block.data();
      return static_cast<la_ssize_t>(block.size());
    } catch (...) {
      input.failure = std::current_exception();
      return ARCHIVE_FATAL;
    }
  }
};

void check(archive* reader, int status, const FilterInput& input) {
  if (input.failure) std::rethrow_exception(input.failure);
  if (status == ARCHIVE_OK) return;
  if (archive_errno(reader) == ENOMEM) throw std::bad_alloc();
  const char* const text = archive_error_string(reader);
  throw base::Error(base::ErrorKind::kCorrupt,
                    "decompress: " + base::printable(text == nullptr ? "unknown error" : text));
}

void filter(FilterInput& input, int (*support)(archive*), Guard& guard) {
  const base::CHandle<archive, archive_read_free> reader(archive_read_new());
  if (!reader) throw std::bad_alloc();
  // A warning says that libarchive would start a program for it.
  if (support(reader.get()) != ARCHIVE_OK) {
    throw base::Error(base::ErrorKind::kUnsupported, "this build can't undo that compression");
  }
  check(reader.get(), archive_read_support_format_raw(reader.get()), input);
  check(reader.get(),
        archive_read_open(reader.get(), &input, nullptr, FilterInput::on_read, nullptr), input);
  archive_entry* entry = nullptr;
  check(reader.get(), archive_read_next_header(reader.get(), &entry), input);
  for (;;) {
    const void* bytes = nullptr;
    std::size_t size = 0;
    la_int64_t offset = 0;
    const int status = archive_read_data_block(reader.get(), &bytes, &size, &offset);
    if (status == ARCHIVE_EOF && !input.failure) return;
    check(reader.get(), status, input);
    if (size > 0) guard.produce({static_cast<const char*>(bytes), size});
  }
}

}  // namespace

bool is_compressed(std::string_view head) {
  const bool is_skippable = head.size() >= 4 && head.substr(1, 3) == "\x2a\x4d\x18"sv &&
                            (static_cast<unsigned char>(head[0]) & 0xf0U) == 0x50U;
  return head.starts_with("\x1f\x8b"sv) || head.starts_with("\x28\xb5\x2f\xfd"sv) || is_skippable ||
         is_compressed_for_archives(head);
}

bool is_compressed_for_archives(std::string_view head) { return is_xz(head) || is_bzip2(head); }

void decompress(const std::function<std::string_view()>& source,
                const std::function<void(std::string_view)>& sink, const DecompressLimits& limits) {
  Guard guard(sink, limits);
  std::string head;  // enough to tell what it is
  while (head.size() < 8) {
    const std::string_view block = source();
    if (block.empty()) break;
    head += block;
  }
  guard.consume(head.size());
  const auto next = [&]() -> std::string_view {
    const std::string_view block = source();
    guard.consume(block.size());
    return block;
  };
  if (is_compressed_for_archives(head)) {
    FilterInput input{.source = [&, is_first = true]() mutable -> std::string_view {
                        if (std::exchange(is_first, false)) return head;
                        return next();
                      },
                      .failure = nullptr};
    const auto support =
        is_xz(head) ? archive_read_support_filter_xz : archive_read_support_filter_bzip2;
    return filter(input, support, guard);
  }
  BufferOutput output(guard);
  Inflater inflater;
  if (!head.empty()) inflater.write(head, output);
  for (std::string_view block = next(); !block.empty(); block = next()) {
    inflater.write(block, output);
  }
  inflater.finish(output);
}

}  // namespace storage
