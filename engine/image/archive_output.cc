#include "engine/image/archive_output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"

namespace engine {
namespace {

namespace fs = std::filesystem;

bool is_blob_name(const fs::path& name) {
  return oci::is_sha256("sha256:" + name.filename().string());
}

storage::TarEntry make_entry(storage::TarEntry::Type type, const std::string& path, mode_t mode) {
  storage::TarEntry entry;
  entry.type = type;
  entry.path = path;
  entry.attributes.mode = mode;
  return entry;
}

}  // namespace

void ArchiveOutput::add(const std::string& name, std::uint64_t size, const Content& content) {
  if (names_.insert(name).second) add_file(name, size, content);
}

void ArchiveOutput::add(const std::string& name, const std::string& bytes) {
  add(name, bytes.size(), [&](const ByteSink& sink) { sink(bytes); });
}

TarOutput::TarOutput(int fd)
    : writer_([fd](std::string_view bytes) { base::write_all(fd, bytes); }) {}

void TarOutput::add_directory(const std::string& name) {
  writer_.add(make_entry(storage::TarEntry::Type::kDirectory, name + "/", 0755));
}

void TarOutput::add_file(const std::string& name, std::uint64_t size, const Content& content) {
  storage::TarEntry entry = make_entry(storage::TarEntry::Type::kFile, name, 0644);
  entry.size = size;
  writer_.add(entry);
  content([&](std::string_view bytes) { writer_.write(bytes); });
}

DirectoryOutput::DirectoryOutput(const fs::path& path) : path_(path) { base::make_dirs(path_); }

void DirectoryOutput::add_directory(const std::string& name) { base::make_dirs(path_ / name); }

void DirectoryOutput::add_file(const std::string& name, std::uint64_t size,
                               const Content& content) {
  const fs::path path = path_ / name;
  struct stat info = {};
  if (is_blob_name(path) && lstat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
      static_cast<std::uint64_t>(info.st_size) == size) {
    return;
  }
  const fs::path staged = path.string() + ".tmp-" + base::random_hex(4);
  base::Cleanup discard([&] { unlink(staged.c_str()); });
  const base::UniqueFd fd = base::open_file(staged, O_WRONLY | O_CREAT | O_EXCL, 0644);
  content([&](std::string_view bytes) { base::write_all(fd.get(), bytes); });
  base::check(rename(staged.c_str(), path.c_str()), path.string());
  discard.dismiss();
}

}  // namespace engine
