// ArchiveOutput: named files on their way out: into a tar archive or below a directory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>

#include "engine/image/saved_image.h"
#include "storage/pack/tar_writer.h"

namespace engine {

class ArchiveOutput {
 public:
  virtual ~ArchiveOutput() = default;

  // The first one of a name counts: blobs are shared by images.
  using Content = std::function<void(const ByteSink&)>;
  void add(const std::string& name, std::uint64_t size, const Content& content);
  void add(const std::string& name, const std::string& bytes);
  virtual void add_directory(const std::string& name) = 0;

 protected:
  virtual void add_file(const std::string& name, std::uint64_t size, const Content& content) = 0;

 private:
  std::set<std::string> names_;
};

class TarOutput : public ArchiveOutput {
 public:
  explicit TarOutput(int fd);
  void add_directory(const std::string& name) override;
  void finish() { writer_.finish(); }

 protected:
  void add_file(const std::string& name, std::uint64_t size, const Content& content) override;

 private:
  storage::TarWriter writer_;
};

// Each file takes its name when it is whole. A blob (a file with digits for a name) that is there
// with the right size is left alone.
class DirectoryOutput : public ArchiveOutput {
 public:
  explicit DirectoryOutput(const std::filesystem::path& path);  // made where it is missing
  void add_directory(const std::string& name) override;
  const std::filesystem::path& path() const { return path_; }

 protected:
  void add_file(const std::string& name, std::uint64_t size, const Content& content) override;

 private:
  std::filesystem::path path_;
};

}  // namespace engine
