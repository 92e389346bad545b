#include "oci/transport.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace oci {
namespace {

TEST(Transport, IsWhatStandsBeforeTheColon) {
  using Kind = Transport::Kind;
  const struct {
    const char* text;
    Kind kind;
    const char* path;
    const char* reference;
  } kCases[] = {
      {"oci:./layout", Kind::kOciLayout, "./layout", ""},
      {"oci:/a/b:v1", Kind::kOciLayout, "/a/b", "v1"},
      {"oci:/a:x/y:z", Kind::kOciLayout, "/a", "x/y:z"},
      {"oci-archive:a.tar:", Kind::kOciArchive, "a.tar", ""},
      {"docker-archive:a.tar:b:c", Kind::kDockerArchive, "a.tar", "b:c"},
      {"docker-archive:a.tar:@1", Kind::kDockerArchive, "a.tar", "@1"},
      {"dir:/a:b", Kind::kDirectory, "/a:b", ""},
  };
  for (const auto& [text, kind, path, reference] : kCases) {
    SCOPED_TRACE(text);
    const auto transport = find_transport(text);
    ASSERT_TRUE(transport.has_value());
    EXPECT_EQ(transport->kind, kind);
    EXPECT_EQ(transport->path, path);
    EXPECT_EQ(transport->reference, reference);
  }
  for (const char* name : {"alpine", "alpine:3.19", "localhost:5000/oci:v1", "OCI:x", "ocix:y"}) {
    EXPECT_FALSE(find_transport(name).has_value()) << name;
  }
  for (const char* wrong : {"oci:", "dir:", "oci::v1"}) {
    EXPECT_THROW(find_transport(wrong), base::Error) << wrong;
  }
}

}  // namespace
}  // namespace oci
