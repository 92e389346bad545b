// ArchiveFiles: the files of a tar archive, or of a layout's directory, by name; read in place,
// never extracted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/unique_fd.h"

namespace engine {

// The bytes of one file: a part of an archive, or a file of its own. May be read by several
// threads.
class ArchiveFile {
 public:
  ArchiveFile(int fd, base::UniqueFd owned, std::uint64_t offset, std::uint64_t size)
      : fd_(fd), owned_(std::move(owned)), offset_(offset), size_(size) {}

  static ArchiveFile whole(base::UniqueFd fd);  // a regular file, all of it

  std::uint64_t size() const { return size_; }
  // All of it; kInvalid above `limit` bytes.
  std::string read(std::size_t limit) const;
  std::string head(std::size_t bytes) const;  // its beginning
  // What stands at `at`, in `buffer`; as much as fits, empty at the end.
  std::string_view read_some(std::uint64_t at, std::span<char> buffer) const;
  // All of it in order. Throws kCorrupt where the file became shorter.
  void for_each_block(const std::function<void(std::string_view)>& action) const;

 private:
  int fd_;
  base::UniqueFd owned_;
  std::uint64_t offset_, size_;
};

// Names are those that the archive's own documents use: what they say is looked up in the table of
// its members (or below the directory's descriptor), so no name leads anywhere else.
class ArchiveFiles {
 public:
  // An uncompressed tar in a regular file (make_seekable()). Throws where it is none.
  static ArchiveFiles of_tar(base::UniqueFd fd);
  static ArchiveFiles of_directory(const std::filesystem::path& path);
  ArchiveFiles(ArchiveFiles&&) noexcept;
  ~ArchiveFiles();

  // docker's archives of before 2024 have symbolic links where images share a layer.
  enum class Links { kRefused, kFollowed };
  // nullopt where nothing has this name. Throws kInvalid where it is no regular file, is there
  // twice, or would lead out of the archive.
  std::optional<ArchiveFile> find(std::string_view name, Links links = Links::kRefused) const;
  ArchiveFile load(std::string_view name, Links links = Links::kRefused) const;

 private:
  struct State;
  explicit ArchiveFiles(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// What ArchiveFiles::of_tar() can read: `fd` itself where it is a regular file that is not
// compressed and stands at its beginning, else a nameless file in `folder` with its bytes.
base::UniqueFd make_seekable(int fd, const std::filesystem::path& folder);

// A nameless file: gone with its descriptor.
base::UniqueFd make_nameless_file(const std::filesystem::path& folder);

}  // namespace engine
