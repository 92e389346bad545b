// Error: the one exception this project throws; its kind chooses the exit code and its text is one
// line.
#pragma once

#include <concepts>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace base {

enum class ErrorKind {
  kInvalid,             // what the user, an image or a registry gave us is malformed
  kNotFound,            // no such image, container, blob, file
  kConflict,            // exists already, is in use, is in the wrong state
  kUnauthorized,        // HTTP 401 or 403
  kUnavailable,         // the network, a server or a lock did not answer; another try may help
  kCorrupt,             // bytes that do not match their digest or size
  kNoSpace,             // ENOSPC or EDQUOT
  kUnsupported,         // this kernel or build can't do what is asked
  kCommandNotFound,     // the container's executable does not exist: exit code 127
  kCommandNotRunnable,  // the container's executable can't be executed: exit code 126
  kSystem,              // any other failed system call
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& text, int errno_value = 0)
      : std::runtime_error(text), kind_(kind), errno_(errno_value) {}
  ErrorKind kind() const { return kind_; }
  int errno_value() const { return errno_; }  // 0 where no system call failed

 private:
  ErrorKind kind_;
  int errno_;
};

// Throws Error with "<what>: <strerror(errno_value)>"; the kind follows errno (ENOENT: kNotFound,
// EEXIST and EBUSY: kConflict, ENOSPC and EDQUOT: kNoSpace, ENOSYS and EOPNOTSUPP: kUnsupported,
// else kSystem).
[[noreturn]] void throw_errno(std::string_view what, int errno_value);
[[noreturn]] void throw_errno(std::string_view what);  // uses errno

// The result of a system call; throws as above where it is -1.
template <std::integral T>
T check(T result, std::string_view what) {
  if (result == static_cast<T>(-1)) throw_errno(what);
  return result;
}

// An Error of the same kind and errno whose text is "<what>: <old text>".
Error with_context(std::string_view what, const Error& error);

// Runs `action`; an Error leaving it gets "<what>: " put in front.
template <class Action>
auto while_doing(std::string_view what, Action&& action) {
  try {
    return std::forward<Action>(action)();
  } catch (const Error& error) {
    throw with_context(what, error);
  }
}

}  // namespace base
