#include "base/error.h"

#include <cerrno>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace {

using base::Error;
using base::ErrorKind;

template <class Action>
Error thrown_by(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorKind::kSystem, "", 0};
}

TEST(Error, KindFollowsErrno) {
  const std::pair<int, ErrorKind> table[] = {
      {ENOENT, ErrorKind::kNotFound},        {EEXIST, ErrorKind::kConflict},
      {EBUSY, ErrorKind::kConflict},         {ENOSPC, ErrorKind::kNoSpace},
      {EDQUOT, ErrorKind::kNoSpace},         {ENOSYS, ErrorKind::kUnsupported},
      {EOPNOTSUPP, ErrorKind::kUnsupported}, {EPERM, ErrorKind::kSystem},
  };
  for (const auto& [number, kind] : table) {
    const Error error = thrown_by([n = number] { base::throw_errno("x", n); });
    EXPECT_EQ(error.kind(), kind) << number;
    EXPECT_EQ(error.errno_value(), number);
  }
}

TEST(Error, CheckPassesResultsAndThrowsOnMinusOne) {
  EXPECT_EQ(base::check(7, "x"), 7);
  EXPECT_EQ(base::check(-2L, "x"), -2L);
  const Error error = thrown_by([] {
    errno = ENOENT;
    base::check(-1, "open /x");
  });
  EXPECT_STREQ(error.what(), "open /x: No such file or directory");
}

TEST(Error, ContextIsPutInFrontAndKeepsTheRest) {
  const Error error = thrown_by([] {
    base::while_doing(
        "pull a", [] { base::while_doing("fetch b", [] { base::throw_errno("write", ENOSPC); }); });
  });
  EXPECT_STREQ(error.what(), "pull a: fetch b: write: No space left on device");
  EXPECT_EQ(error.kind(), ErrorKind::kNoSpace);
  EXPECT_EQ(error.errno_value(), ENOSPC);
  EXPECT_EQ(base::while_doing("x", [] { return 5; }), 5);
}

TEST(Error, OtherExceptionsPassUnchanged) {
  EXPECT_THROW(base::while_doing("x", [] { throw std::logic_error("bug"); }), std::logic_error);
}

}  // namespace
