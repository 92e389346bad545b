// LayerPath: an entry's name as checked components, and what a whiteout's name means.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace storage {

// Components of a path inside a layer: no empty ones, no "." and no "..".
using LayerPath = std::vector<std::string_view>;

constexpr std::size_t kMaxComponentBytes = 255;  // NAME_MAX, see limits.h
constexpr std::size_t kMaxPathDepth = 512;  // trees are removed with one descriptor for each level

// Views into `text`. A leading "/" and "." are dropped; ".." anywhere, overlong components and
// absurd depth are refused. Empty: the root. Throws kInvalid.
LayerPath parse_layer_path(std::string_view text);

std::string join(const LayerPath& path);

// image-spec, layer.md, "Whiteouts", and the names that AUFS left in old images.
struct EntryName {
  enum class Kind {
    kPlain,
    kWhiteout,  // `name` is what it deletes
    kOpaque,    // the directory that it stands in hides what lies below
    kIgnored,   // AUFS's own files
  } kind = Kind::kPlain;
  std::string_view name;
};

// Throws kInvalid for whiteouts of nothing, "." and "..".
EntryName classify_name(std::string_view component);

// Whether this is where AUFS kept the content of files with several names, which stand elsewhere as
// hard links to it.
bool is_aufs_link(const LayerPath& path);

// Whether a directory on the way has a whiteout's name: such an entry has no place in a tree.
bool is_below_whiteout_name(const LayerPath& path);

}  // namespace storage
