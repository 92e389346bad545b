#include "oci/platform.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/oci/refusal.h"

namespace {

using oci::Platform;

TEST(Platform, ReadsAndNormalises) {
  const std::pair<const char*, const char*> table[] = {
      {"linux/amd64", "linux/amd64"},
      {"linux/x86_64", "linux/amd64"},
      {"Linux/X86-64", "linux/amd64"},
      {"linux/amd64/v1", "linux/amd64"},
      {"linux/amd64/v3", "linux/amd64/v3"},
      {"linux/i386", "linux/386"},
      {"linux/aarch64", "linux/arm64"},
      {"linux/arm64/v8", "linux/arm64"},
      {"linux/arm64/8", "linux/arm64"},
      {"linux/arm64/v9.2", "linux/arm64/v9.2"},
      {"linux/arm", "linux/arm/v7"},
      {"linux/arm/7", "linux/arm/v7"},
      {"linux/arm/v6", "linux/arm/v6"},
      {"linux/armhf", "linux/arm/v7"},
      {"linux/armel", "linux/arm/v6"},
      {"windows/amd64", "windows/amd64"},
      {"macos/arm64", "darwin/arm64"},
      {"arm64", "linux/arm64"},
      {"x86_64", "linux/amd64"},
      {"armhf", "linux/arm/v7"},
      {"s390x", "linux/s390x"},
      {"riscv64", "linux/riscv64"},
      {"linux/unheard-of", "linux/unheard-of"},
  };
  for (const auto& [input, full] : table) {
    SCOPED_TRACE(input);
    EXPECT_EQ(Platform::parse(input).str(), full);
    EXPECT_EQ(Platform::parse(full).str(), full);
  }
}

TEST(Platform, AnOperatingSystemAloneMeansThisMachine) {
  EXPECT_EQ(Platform::parse("linux"), Platform::of_host());
  EXPECT_EQ(Platform::of_host().os, "linux");
  EXPECT_FALSE(Platform::of_host().architecture.empty());
}

TEST(Platform, RefusesNonsense) {
  for (const char* text : {"", "/", "linux/", "/amd64", "linux/amd64/", "linux/amd64/v1/x",
                           "unheard-of", "linux/amd 64", "linux/\x1b[0m", "lin\nux/amd64"}) {
    SCOPED_TRACE(text);
    EXPECT_TRUE(refusal_of([&] { Platform::parse(text); }).starts_with("invalid platform \""));
  }
}

std::vector<std::string> preferences(const char* host) {
  std::vector<std::string> names;
  for (const Platform& platform : oci::preferences_of(Platform::parse(host))) {
    names.push_back(platform.str().substr(6));
  }
  return names;
}

TEST(Platform, PrefersTheNearest) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(preferences("linux/amd64"), (Names{"amd64", "386"}));
  EXPECT_EQ(preferences("linux/amd64/v3"), (Names{"amd64/v3", "amd64/v2", "amd64", "386"}));
  EXPECT_EQ(preferences("linux/386"), (Names{"386"}));
  EXPECT_EQ(preferences("linux/arm/v7"), (Names{"arm/v7", "arm/v6", "arm/v5"}));
  EXPECT_EQ(preferences("linux/arm/v5"), (Names{"arm/v5"}));
  EXPECT_EQ(preferences("linux/arm64"), (Names{"arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5"}));
  EXPECT_EQ(preferences("linux/arm64/v8.2"),
            (Names{"arm64/v8.2", "arm64/v8.1", "arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5"}));
  EXPECT_EQ(preferences("linux/arm64/v9.1"),
            (Names{"arm64/v9.1", "arm64/v9", "arm64/v8.6", "arm64/v8.5", "arm64/v8.4", "arm64/v8.3",
                   "arm64/v8.2", "arm64/v8.1", "arm64", "arm/v8", "arm/v7", "arm/v6", "arm/v5"}));
  EXPECT_EQ(preferences("linux/riscv64"), (Names{"riscv64"}));
}

TEST(Platform, SillyVariantsDoNotMakeLongLists) {
  for (const char* text :
       {"linux/amd64/v2000000000", "linux/arm64/v9.2000000000", "linux/arm/v99999999999999999999",
        "linux/arm64/vx", "linux/arm64/v8."}) {
    EXPECT_LE(preferences(text).size(), 5U) << text;
    EXPECT_EQ(preferences(text).front(), std::string(text).substr(6));
  }
}

}  // namespace
