// Image rows: reading images and resolving their names, for the files of this room that change
// them.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "oci/reference.h"
#include "storage/store.h"

namespace storage {

class Database;

// One row of `names`: a tag or a digest in a repository, never both.
struct NameRow {
  std::string repository, tag, digest;
  bool is_digest() const { return tag.empty(); }
};

// docker's form of a name: "alpine:3.19", "alpine@sha256:…".
std::string familiar_name(const NameRow& name);

struct FoundImage {
  std::string id;               // 64 hexadecimal digits
  std::optional<NameRow> name;  // where it was found by one
};

// As Store::find_image() describes it.
std::optional<FoundImage> resolve_image(Database& database, std::string_view name_or_id);

// "No such image: alpine:latest".
[[noreturn]] void throw_no_such_image(std::string_view name_or_id);

// Names of one image, tags first.
std::vector<NameRow> names_of_image(Database& database, std::string_view id);

}  // namespace storage
