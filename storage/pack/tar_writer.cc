#include "storage/pack/tar_writer.h"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <cerrno>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "storage/unpack/utf8_scope.h"

namespace storage {
namespace {

constexpr int kBlockBytes = 64 << 10;

unsigned file_type_of(TarEntry::Type type) {
  switch (type) {
    case TarEntry::Type::kFile:
    case TarEntry::Type::kHardLink:
      return AE_IFREG;
    case TarEntry::Type::kDirectory:
      return AE_IFDIR;
    case TarEntry::Type::kSymlink:
      return AE_IFLNK;
    case TarEntry::Type::kCharDevice:
      return AE_IFCHR;
    case TarEntry::Type::kBlockDevice:
      return AE_IFBLK;
    case TarEntry::Type::kFifo:
      return AE_IFIFO;
  }
  return AE_IFREG;
}

void fill(archive_entry* target, const TarEntry& entry, std::int64_t latest) {
  archive_entry_clear(target);
  archive_entry_copy_pathname(target, entry.path.c_str());
  archive_entry_set_filetype(target, file_type_of(entry.type));
  archive_entry_set_perm(target, static_cast<__LA_MODE_T>(entry.attributes.mode));
  archive_entry_set_uid(target, entry.attributes.uid);
  archive_entry_set_gid(target, entry.attributes.gid);
  archive_entry_set_mtime(target, std::min<std::int64_t>(entry.attributes.mtime.tv_sec, latest), 0);
  archive_entry_set_size(
      target, entry.type == TarEntry::Type::kFile ? static_cast<la_int64_t>(entry.size) : 0);
  if (entry.type == TarEntry::Type::kHardLink) {
    archive_entry_copy_hardlink(target, entry.link_target.c_str());
  } else if (entry.type == TarEntry::Type::kSymlink) {
    archive_entry_copy_symlink(target, entry.link_target.c_str());
  } else if (entry.type == TarEntry::Type::kCharDevice ||
             entry.type == TarEntry::Type::kBlockDevice) {
    archive_entry_set_rdevmajor(target, entry.device_major);
    archive_entry_set_rdevminor(target, entry.device_minor);
  }
  for (const Xattr& xattr : entry.attributes.xattrs) {
    archive_entry_xattr_add_entry(target, xattr.name.c_str(), xattr.value.data(),
                                  xattr.value.size());
  }
}

}  // namespace

struct TarWriter::State {
  Sink sink;
  std::int64_t latest = 0;
  std::exception_ptr failure;  // of `sink`, which libarchive's C frames must not see
  Utf8Scope utf8;
  base::CHandle<archive, archive_write_free> writer{archive_write_new()};
  base::CHandle<archive_entry, archive_entry_free> entry{archive_entry_new()};
  std::uint64_t missing = 0;  // bytes of the last entry's data
  std::string path;           // of the last entry

  // libarchive's write callback.
  static la_ssize_t on_write(archive* writer, void* self, const void* bytes,
                             std::size_t size) noexcept {
    auto& state = *static_cast<State*>(self);
    try {
      if (!state.failure) state.sink({static_cast<const char*>(bytes), size});
      return static_cast<la_ssize_t>(size);
    } catch (...) {
      state.failure = std::current_exception();
      archive_set_error(writer, EIO, "not written");
      return -1;
    }
  }

  // A warning says that a name is no UTF-8: it is written byte for byte all the same.
  void check(la_ssize_t status) {
    if (failure) std::rethrow_exception(failure);
    if (status >= ARCHIVE_OK || status == ARCHIVE_WARN) return;
    if (archive_errno(writer.get()) == ENOMEM) throw std::bad_alloc();
    const char* const text = archive_error_string(writer.get());
    throw base::Error(base::ErrorKind::kSystem,
                      "write tar: " + base::printable(text == nullptr ? "unknown error" : text));
  }

  void end_entry() const {
    if (missing == 0) return;
    throw base::Error(
        base::ErrorKind::kCorrupt,
        base::printable(path) + ": " + std::to_string(missing) + " bytes less than it had before");
  }
};

TarWriter::TarWriter(Sink sink, std::int64_t latest) : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.sink = std::move(sink);
  state.latest = latest;
  if (!state.writer || !state.entry) throw std::bad_alloc();
  archive* const writer = state.writer.get();
  // The restricted form: pax records only where ustar does not suffice.
  state.check(archive_write_set_format_pax_restricted(writer));
  state.check(archive_write_set_format_option(writer, "pax", "xattrheader", "SCHILY"));
  state.check(archive_write_add_filter_none(writer));
  state.check(archive_write_set_bytes_per_block(writer, kBlockBytes));
  state.check(archive_write_set_bytes_in_last_block(writer, 1));
  state.check(archive_write_open(writer, &state, nullptr, State::on_write, nullptr));
}

TarWriter::~TarWriter() {
  // Freeing ends the archive properly, which one that failed must not be taken for.
  State& state = *state_;
  if (!state.failure) state.failure = std::make_exception_ptr(std::bad_alloc());
}

void TarWriter::add(const TarEntry& entry, const std::vector<TarRegion>& regions) {
  State& state = *state_;
  state.end_entry();
  fill(state.entry.get(), entry, state.latest);
  for (const TarRegion& region : regions) {
    archive_entry_sparse_add_entry(state.entry.get(), static_cast<la_int64_t>(region.offset),
                                   static_cast<la_int64_t>(region.length));
  }
  state.path = entry.path;
  state.missing = entry.type == TarEntry::Type::kFile ? entry.size : 0;
  state.check(archive_write_header(state.writer.get(), state.entry.get()));
}

void TarWriter::write(std::string_view bytes) {
  State& state = *state_;
  bytes = bytes.substr(0, std::min<std::uint64_t>(bytes.size(), state.missing));
  if (bytes.empty()) return;
  state.missing -= bytes.size();
  state.check(archive_write_data(state.writer.get(), bytes.data(), bytes.size()));
}

void TarWriter::finish() {
  state_->end_entry();
  state_->check(archive_write_close(state_->writer.get()));
}

}  // namespace storage
