// MemberIndex: where the files of a tar archive lie, by name: for archives whose members are read
// in place and never extracted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace storage {

struct ArchiveMember {
  enum class Type { kFile, kSymlink, kOther };  // kOther: whatever can't be read in place
  Type type = Type::kFile;
  std::string link_target;
  std::uint64_t offset = 0, size = 0;  // of the content
  bool is_duplicate = false;           // another member has the same name
};

struct IndexLimits {
  std::uint64_t members = 200'000;
  std::uint64_t name_bytes = 32U << 20U;  // of all names and targets
};

class MemberIndex {
 public:
  // Of an uncompressed tar in a regular file; only headers are read. Throws kCorrupt where it is no
  // tar or ends inside a member, kInvalid beyond the limits.
  explicit MemberIndex(int fd, const IndexLimits& limits = {});

  // Null where there is no such member. `name` must be normal, see normal_name().
  const ArchiveMember* find(std::string_view name) const;
  const std::map<std::string, ArchiveMember, std::less<>>& members() const { return members_; }

 private:
  std::map<std::string, ArchiveMember, std::less<>> members_;
};

// "./a//b/" becomes "a/b"; a name that starts with "/" or has a ".." leads out of the archive and
// becomes empty.
std::string normal_name(std::string_view name);

}  // namespace storage
