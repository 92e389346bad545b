#include "storage/unpack/member_index.h"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <array>
#include <cerrno>
#include <new>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "storage/unpack/utf8_scope.h"

namespace storage {
namespace {

constexpr std::size_t kReadBytes = 16U << 10U;
// libarchive keeps an entry's headers in memory, so more is an attack (CVE-2025-58183).
constexpr std::size_t kMaxHeaderBytes = 2U << 20U;

// A file, read and skipped through by libarchive.
struct Input {
  int fd = -1;
  std::uint64_t size = 0, position = 0;
  std::size_t header_bytes = 0;  // read since the last entry's header began
  std::array<char, kReadBytes> block = {};

  static la_ssize_t on_read(archive* reader, void* self, const void** bytes) noexcept {
    auto& input = *static_cast<Input*>(self);
    const ssize_t count =
        pread(input.fd, input.block.data(), input.block.size(), static_cast<off_t>(input.position));
    if (count < 0) {
      archive_set_error(reader, errno, "read");
      return ARCHIVE_FATAL;
    }
    input.header_bytes += static_cast<std::size_t>(count);
    if (input.header_bytes > kMaxHeaderBytes + 2 * kReadBytes) {
      archive_set_error(reader, EINVAL, "an entry's header is larger than %zu bytes",
                        kMaxHeaderBytes);
      return ARCHIVE_FATAL;
    }
    input.position += static_cast<std::uint64_t>(count);
    *bytes = input.block.data();
    return count;
  }

  static la_int64_t on_skip(archive*, void* self, la_int64_t request) noexcept {
    auto& input = *static_cast<Input*>(self);
    const std::uint64_t left = input.size - std::min(input.size, input.position);
    const std::uint64_t count = std::min(left, static_cast<std::uint64_t>(request));
    input.position += count;
    return static_cast<la_int64_t>(count);
  }
};

[[noreturn]] void throw_bad_archive(const std::string& text) {
  throw base::Error(base::ErrorKind::kCorrupt, "read tar: " + base::printable(text));
}

// A warning says that a name can't be shown in some character set: the entry is fine.
bool is_ok(archive* reader, int status) {
  if (status == ARCHIVE_OK || status == ARCHIVE_WARN) return true;
  if (archive_errno(reader) == ENOMEM) throw std::bad_alloc();
  const char* const text = archive_error_string(reader);
  throw_bad_archive(text == nullptr ? "unknown error" : text);
}

ArchiveMember convert(archive* reader, archive_entry* entry) {
  ArchiveMember member;
  const bool is_hard_link = archive_entry_hardlink(entry) != nullptr;
  const auto type = archive_entry_filetype(entry);
  if (!is_hard_link && type == AE_IFLNK) {
    member.type = ArchiveMember::Type::kSymlink;
    if (const char* const target = archive_entry_symlink(entry)) member.link_target = target;
  } else if (is_hard_link || type != AE_IFREG || archive_entry_sparse_count(entry) > 0) {
    member.type = ArchiveMember::Type::kOther;
  }
  const la_int64_t size = archive_entry_size(entry);
  if (size < 0) throw_bad_archive("negative size");
  member.size = member.type == ArchiveMember::Type::kFile ? static_cast<std::uint64_t>(size) : 0;
  // What the reader has consumed of the stream: all headers of this entry.
  member.offset = static_cast<std::uint64_t>(archive_filter_bytes(reader, 0));
  return member;
}

}  // namespace

std::string normal_name(std::string_view name) {
  if (name.starts_with('/')) return {};
  std::string normal;
  while (!name.empty()) {
    const std::size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    name.remove_prefix(slash == std::string_view::npos ? name.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") return {};
    if (!normal.empty()) normal += '/';
    normal += part;
  }
  return normal;
}

MemberIndex::MemberIndex(int fd, const IndexLimits& limits) {
  struct stat info = {};
  base::check(fstat(fd, &info), "fstat");
  Input input{.fd = fd, .size = static_cast<std::uint64_t>(info.st_size)};
  const Utf8Scope utf8;
  const base::CHandle<archive, archive_read_free> reader(archive_read_new());
  if (!reader) throw std::bad_alloc();
  is_ok(reader.get(), archive_read_support_format_tar(reader.get()));
  is_ok(reader.get(),
        archive_read_open2(reader.get(), &input, nullptr, Input::on_read, Input::on_skip, nullptr));
  std::uint64_t count = 0;
  std::uint64_t name_bytes = 0;
  for (;;) {
    input.header_bytes = 0;
    archive_entry* entry = nullptr;
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF || !is_ok(reader.get(), status)) break;
    const char* const path = archive_entry_pathname(entry);
    const std::string name = normal_name(path == nullptr ? "" : path);
    ArchiveMember member = convert(reader.get(), entry);
    name_bytes += name.size() + member.link_target.size();
    if (++count > limits.members || name_bytes > limits.name_bytes) {
      throw base::Error(base::ErrorKind::kInvalid, "the archive has more than " +
                                                       std::to_string(limits.members) +
                                                       " members or too long names");
    }
    if (member.offset > input.size || member.size > input.size - member.offset) {
      throw_bad_archive("the archive ends inside of " + base::printable(name));
    }
    if (name.empty()) continue;
    const auto [place, is_new] = members_.try_emplace(name, member);
    if (!is_new && archive_entry_filetype(entry) != AE_IFDIR) place->second.is_duplicate = true;
  }
}

const ArchiveMember* MemberIndex::find(std::string_view name) const {
  const auto found = members_.find(name);
  return found == members_.end() ? nullptr : &found->second;
}

}  // namespace storage
