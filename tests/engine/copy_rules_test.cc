#include "engine/copy_rules.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

TEST(CopyRules, WhichSideAnArgumentIsOn) {
  EXPECT_EQ(parse_copy_argument("box:/x").container, "box");
  EXPECT_EQ(parse_copy_argument("box:/x").path, "/x");
  EXPECT_EQ(parse_copy_argument("box:a:b").path, "a:b");
  for (const char* local : {"/a:b", "./a:b", "../a:b", "plain", "-", "."}) {
    EXPECT_FALSE(parse_copy_argument(local).container) << local;
  }
}

TEST(CopyRules, PathsAreMadeAbsoluteAndKeepWhatTheirEndsSay) {
  struct Row {
    const char *text, *path;
    bool contents, directory;
  };
  constexpr Row kRows[] = {
      {"f", "/base/f", false, false},  {"/a/../b//c", "/b/c", false, false},
      {"d/", "/base/d", false, true},  {"d/.", "/base/d", true, true},
      {".", "/base", true, true},      {"..", "/", true, true},
      {"/", "/", true, true},          {"/../../x", "/x", false, false},
      {"a/..", "/base", false, false}, {"/a/b/../.", "/a", true, true},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.text);
    const CopyPath path = parse_copy_path(row.text, "/base");
    EXPECT_EQ(path.path, row.path);
    EXPECT_EQ(path.contents, row.contents);
    EXPECT_EQ(path.directory, row.directory);
  }
}

TEST(CopyRules, WhatIsCopiedWhere) {
  const CopyPath plain = {.path = "/s"};
  const CopyPath slash = {.path = "/s", .directory = true};
  const CopyPath contents = {.path = "/s", .contents = true, .directory = true};
  EXPECT_EQ(plan_copy(false, plain, CopyKind::kMissing, plain), CopyAction::kAs);
  EXPECT_EQ(plan_copy(false, plain, CopyKind::kOther, plain), CopyAction::kAs);
  EXPECT_EQ(plan_copy(false, plain, CopyKind::kDirectory, plain), CopyAction::kInto);
  EXPECT_EQ(plan_copy(true, plain, CopyKind::kMissing, slash), CopyAction::kAs);
  EXPECT_EQ(plan_copy(true, slash, CopyKind::kDirectory, plain), CopyAction::kInto);
  EXPECT_EQ(plan_copy(true, contents, CopyKind::kDirectory, plain), CopyAction::kContents);
  EXPECT_EQ(plan_copy(true, contents, CopyKind::kMissing, plain), CopyAction::kAs);
  EXPECT_THROW(plan_copy(false, plain, CopyKind::kMissing, slash), base::Error);
  EXPECT_THROW(plan_copy(false, plain, CopyKind::kOther, slash), base::Error);
  EXPECT_THROW(plan_copy(true, plain, CopyKind::kOther, plain), base::Error);
  EXPECT_THROW(plan_copy(false, slash, CopyKind::kMissing, plain), base::Error);
}

TEST(CopyRules, SizesAsDockerSaysThem) {
  EXPECT_EQ(tar_bytes(0), 512U);
  EXPECT_EQ(tar_bytes(1), 1024U);
  EXPECT_EQ(tar_bytes(512), 1024U);
  EXPECT_EQ(copied_size(2048), "2.05kB");
  EXPECT_EQ(copied_size(1536), "1.54kB");
  EXPECT_EQ(copied_size(512), "512B");
  EXPECT_EQ(copied_size(104'857'600), "105MB");
}

}  // namespace
}  // namespace engine
