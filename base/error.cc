#include "base/error.h"

#include <cerrno>
#include <cstring>

namespace base {
namespace {

ErrorKind kind_of(int errno_value) {
  switch (errno_value) {
    case ENOENT:
      return ErrorKind::kNotFound;
    case EEXIST:
    case EBUSY:
      return ErrorKind::kConflict;
    case ENOSPC:
    case EDQUOT:
      return ErrorKind::kNoSpace;
    case ENOSYS:
    case EOPNOTSUPP:
      return ErrorKind::kUnsupported;
    default:
      return ErrorKind::kSystem;
  }
}

}  // namespace

void throw_errno(std::string_view what, int errno_value) {
  char buffer[128];
  const char* text = strerror_r(errno_value, buffer, sizeof buffer);
  throw Error(kind_of(errno_value), std::string(what) + ": " + text, errno_value);
}

void throw_errno(std::string_view what) { throw_errno(what, errno); }

Error with_context(std::string_view what, const Error& error) {
  return {error.kind(), std::string(what) + ": " + error.what(), error.errno_value()};
}

}  // namespace base
