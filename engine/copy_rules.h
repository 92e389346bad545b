// Copy rules: what `cp` makes of its two paths, as docker does; pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace engine {

// "CONTAINER:PATH", or a path of the host where there is no container: one that is absolute,
// begins with a dot or has no colon.
struct CopyArgument {
  std::optional<std::string> container;
  std::string path;  // "-": a tar stream
};
CopyArgument parse_copy_argument(const std::string& text);

struct CopyPath {
  std::string path;        // absolute, without "." and "..", "/" or no slash at the end
  bool contents = false;   // "dir/.": not the directory but what is in it
  bool directory = false;  // "dir/" or "dir/.": must be one
};
// `base` is where relative paths begin.
CopyPath parse_copy_path(const std::string& text, const std::string& base);

enum class CopyKind { kMissing, kDirectory, kOther };
enum class CopyAction {
  kInto,      // below the destination, under the source's name
  kAs,        // in the destination's place
  kContents,  // what is in the source, into the destination
};
// Throws kInvalid with docker's words.
CopyAction plan_copy(bool source_is_directory, const CopyPath& source, CopyKind destination,
                     const CopyPath& destination_path);

// Bytes that a file takes in the tar stream that docker counts.
std::uint64_t tar_bytes(std::uint64_t content);
// docker's three digits: "2.05kB".
std::string copied_size(std::uint64_t bytes);

}  // namespace engine
