#include "storage/unpack/tar_reader.h"

#include <algorithm>
#include <archive.h>
#include <archive_entry.h>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <new>
#include <sys/stat.h>
#include <utility>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"
#include "storage/unpack/header_trail.h"
#include "storage/unpack/utf8_scope.h"

namespace storage {
namespace {

constexpr std::size_t kMaxXattrBytes = 64U << 10U;
constexpr std::uint64_t kMaxDeviceMajor = 0xfff, kMaxDeviceMinor = 0xfffff;  // the kernel's dev_t

[[noreturn]] void throw_invalid(const std::string& path, const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, base::printable(path) + ": " + text);
}

// 4294967295 means "leave as it is" to chown(2): a file that should not be root's would stay so.
std::uint32_t checked_id(std::int64_t id, const std::string& path, const char* what) {
  if (id < 0 || id >= std::numeric_limits<std::uint32_t>::max()) {
    throw_invalid(path, std::string(what) + " " + std::to_string(id) + " is out of range");
  }
  return static_cast<std::uint32_t>(id);
}

// Times that a 64-bit count of nanoseconds can't hold become the epoch, as containerd does.
timespec bounded_time(time_t seconds, long nanoseconds) {
  constexpr time_t kMax = std::numeric_limits<std::int64_t>::max() / 1'000'000'000;
  if (seconds < 0 || seconds >= kMax || nanoseconds < 0 || nanoseconds > 999'999'999) return {};
  return {seconds, nanoseconds};
}

bool is_before(const timespec& a, const timespec& b) {
  return std::pair(a.tv_sec, a.tv_nsec) < std::pair(b.tv_sec, b.tv_nsec);
}

constexpr char kSocket = 's';  // star writes sockets, which nobody can unpack

// libarchive takes types that it does not know for files, and GNU's directory lists, parts of files
// and renames (D, M, N) for what they are not. docker and containerd refuse them too.
void check_type(char type, const std::string& path) {
  if (type == '\0' || (type >= '0' && type <= '7') || type == 'S') return;
  throw_invalid(path, "unknown type of entry: \"" + base::printable({&type, 1}) + "\"");
}

TarEntry::Type type_of(archive_entry* entry, const std::string& path) {
  if (archive_entry_hardlink(entry) != nullptr) return TarEntry::Type::kHardLink;
  switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
      return TarEntry::Type::kFile;
    case AE_IFDIR:
      return TarEntry::Type::kDirectory;
    case AE_IFLNK:
      return TarEntry::Type::kSymlink;
    case AE_IFCHR:
      return TarEntry::Type::kCharDevice;
    case AE_IFBLK:
      return TarEntry::Type::kBlockDevice;
    case AE_IFIFO:
      return TarEntry::Type::kFifo;
    default:
      throw_invalid(path, "unknown type of entry");
  }
}

mode_t mode_bits_of(TarEntry::Type type) {
  switch (type) {
    case TarEntry::Type::kFile:
    case TarEntry::Type::kHardLink:
      return S_IFREG;
    case TarEntry::Type::kDirectory:
      return S_IFDIR;
    case TarEntry::Type::kSymlink:
      return S_IFLNK;
    case TarEntry::Type::kCharDevice:
      return S_IFCHR;
    case TarEntry::Type::kBlockDevice:
      return S_IFBLK;
    case TarEntry::Type::kFifo:
      return S_IFIFO;
  }
  return 0;
}

std::vector<Xattr> xattrs_of(archive_entry* source, const TarEntry& entry,
                             const OverlayPolicy& policy) {
  std::vector<Xattr> xattrs;
  std::size_t total = 0;
  if (archive_entry_xattr_reset(source) == 0) return xattrs;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  while (archive_entry_xattr_next(source, &name, &value, &size) == ARCHIVE_OK) {
    if (name == nullptr || !is_allowed_xattr(name, mode_bits_of(entry.type), policy)) continue;
    xattrs.push_back({name, std::string(static_cast<const char*>(value), size)});
    total += xattrs.back().name.size() + size;
    if (total > kMaxXattrBytes) throw_invalid(entry.path, "extended attributes above 64 KiB");
  }
  std::sort(xattrs.begin(), xattrs.end(),
            [](const Xattr& a, const Xattr& b) { return a.name < b.name; });
  return xattrs;
}

void read_times(archive_entry* source, Attributes& attributes) {
  attributes.mtime = bounded_time(archive_entry_mtime(source), archive_entry_mtime_nsec(source));
  attributes.atime = attributes.mtime;
  if (archive_entry_atime_is_set(source) == 0) return;
  const timespec atime =
      bounded_time(archive_entry_atime(source), archive_entry_atime_nsec(source));
  if (is_before(attributes.mtime, atime)) attributes.atime = atime;
}

void read_device(archive_entry* source, TarEntry& entry) {
  const std::uint64_t major = archive_entry_rdevmajor(source);
  const std::uint64_t minor = archive_entry_rdevminor(source);
  if (major > kMaxDeviceMajor || minor > kMaxDeviceMinor) {
    throw_invalid(entry.path, "device number out of range");
  }
  entry.device_major = static_cast<unsigned>(major);
  entry.device_minor = static_cast<unsigned>(minor);
}

TarEntry convert(archive_entry* source, char type, const OverlayPolicy& policy) {
  TarEntry entry;
  const char* const path = archive_entry_pathname(source);
  if (path == nullptr) throw_invalid("", "an entry's name can't be read");
  entry.path = path;
  check_type(type, entry.path);
  entry.type = type_of(source, entry.path);
  const char* const target = entry.type == TarEntry::Type::kHardLink
                                 ? archive_entry_hardlink(source)
                                 : archive_entry_symlink(source);
  if (target != nullptr) entry.link_target = target;
  Attributes& attributes = entry.attributes;
  attributes.mode = archive_entry_perm(source) & 07777U;
  attributes.uid = checked_id(archive_entry_uid(source), entry.path, "uid");
  attributes.gid = checked_id(archive_entry_gid(source), entry.path, "gid");
  read_times(source, attributes);
  attributes.xattrs = xattrs_of(source, entry, policy);
  if (entry.type == TarEntry::Type::kFile) {
    const std::int64_t size = archive_entry_size(source);
    if (size < 0) throw_invalid(entry.path, "negative size");
    entry.size = static_cast<std::uint64_t>(size);
  }
  if (entry.type == TarEntry::Type::kCharDevice || entry.type == TarEntry::Type::kBlockDevice) {
    read_device(source, entry);
  }
  return entry;
}

// An entry of our own, read before the layer's first: libarchive 3.6 loses the target of the first
// link it sees where that stands in a PAX record only, as Go writes targets without ASCII letters.
std::string make_primer() {
  std::string header(512, '\0');
  const auto put = [&](std::size_t at, std::string_view text) {
    header.replace(at, text.size(), text);
  };
  put(0, "a");
  put(100, "0000777");
  put(148, "        ");  // the checksum is taken with blanks in its place
  header[156] = '2';
  put(157, "a");
  put(257, std::string_view("ustar\00000", 8));
  unsigned sum = 0;
  for (const char byte : header) sum += static_cast<unsigned char>(byte);
  char digits[8] = {};
  std::snprintf(digits, sizeof digits, "%06o", sum & 0777777U);
  put(148, std::string_view(digits, 7));
  return header;
}

}  // namespace

struct TarReader::State {
  Source source;
  OverlayPolicy policy;
  Utf8Scope utf8;
  base::CHandle<archive, archive_read_free> reader{archive_read_new()};
  TarEntry entry;
  bool is_open = false, in_header = false;
  std::size_t header_bytes = 0, max_header_bytes = 0;
  HeaderTrail trail;
  std::exception_ptr failure;  // of `source`, which libarchive's C frames must not see

  // libarchive's read callback.
  static la_ssize_t on_read(archive* reader, void* self, const void** bytes) noexcept {
    auto& state = *static_cast<State*>(self);
    try {
      state.trail.leave(state.in_header ? HeaderTrail::Keep::kYes : HeaderTrail::Keep::kNo);
      const std::string_view block = state.source();
      state.trail.enter(block);
      *bytes = block.data();
      if (state.in_header) state.header_bytes += block.size();
      if (state.header_bytes <= state.max_header_bytes)
        return static_cast<la_ssize_t>(block.size());
      archive_set_error(reader, EINVAL, "an entry's header is larger than %zu bytes",
                        state.max_header_bytes);
    } catch (...) {
      state.failure = std::current_exception();
    }
    return ARCHIVE_FATAL;
  }

  // A warning says that a name can't be shown in some character set or the like: the entry is fine.
  void check(int status) {
    if (failure) std::rethrow_exception(failure);
    if (status == ARCHIVE_OK || status == ARCHIVE_WARN) return;
    if (archive_errno(reader.get()) == ENOMEM) throw std::bad_alloc();
    const char* text = archive_error_string(reader.get());
    throw base::Error(base::ErrorKind::kCorrupt,
                      "read tar: " + base::printable(text == nullptr ? "unknown error" : text));
  }

  // What libarchive has consumed; its count begins with our primer.
  std::uint64_t position() {
    return static_cast<std::uint64_t>(archive_filter_bytes(reader.get(), 0));
  }

  archive_entry* find_header() {
    in_header = true;
    header_bytes = 0;
    const base::Cleanup leave([&] { in_header = false; });
    trail.begin(position());
    archive_entry* found = nullptr;
    const int status = archive_read_next_header(reader.get(), &found);
    if (status == ARCHIVE_EOF && !failure) return nullptr;
    check(status);
    return found;
  }

  // False where the stream holds no byte at all: an empty layer, which libarchive calls no archive.
  bool open() {
    check(archive_read_support_format_tar(reader.get()));
    const std::string_view first = source();
    if (first.empty()) return false;
    source = [this, rest = std::move(source), first, calls = 0]() mutable -> std::string_view {
      if (calls < 2) return calls++ == 0 ? primer : first;
      return rest();
    };
    check(archive_read_open(reader.get(), this, nullptr, on_read, nullptr));
    archive_entry* ignored = nullptr;
    check(archive_read_next_header(reader.get(), &ignored));
    return true;
  }
  const std::string primer = make_primer();
};

TarReader::TarReader(Source source, const OverlayPolicy& policy, std::size_t header_bytes)
    : state_(std::make_unique<State>()) {
  if (!state_->reader) throw std::bad_alloc();
  state_->source = std::move(source);
  state_->policy = policy;
  state_->max_header_bytes = header_bytes;
}

TarReader::~TarReader() = default;

const TarEntry* TarReader::next() {
  State& state = *state_;
  if (!state.is_open) {
    if (!state.open()) return nullptr;
    state.is_open = true;
  }
  for (;;) {
    state.check(archive_read_data_skip(state.reader.get()));
    archive_entry* const source = state.find_header();
    if (source == nullptr) return nullptr;
    const char type = state.trail.find_type(state.position()).value_or('0');
    if (type == kSocket) continue;
    state.entry = convert(source, type, state.policy);
    return &state.entry;
  }
}

std::optional<TarReader::Piece> TarReader::read() {
  const void* bytes = nullptr;
  std::size_t size = 0;
  la_int64_t offset = 0;
  for (;;) {
    const int status = archive_read_data_block(state_->reader.get(), &bytes, &size, &offset);
    if (status == ARCHIVE_EOF && !state_->failure) return std::nullopt;
    state_->check(status);
    if (size == 0) continue;
    // The piece is consumed with the next call.
    return Piece{.offset = static_cast<std::uint64_t>(offset),
                 .bytes = {static_cast<const char*>(bytes), size},
                 .position = state_->position() - state_->primer.size()};
  }
}

}  // namespace storage
