#include "oci/digest.h"

#include <string>
#include <type_traits>

#include <gtest/gtest.h>

#include "tests/oci/refusal.h"

namespace {

const std::string kHex(64, 'a');

TEST(Digest, KeepsWhatItWasMadeOf) {
  const auto digest = oci::Digest::parse("sha256:" + kHex);
  EXPECT_EQ(digest.hex(), kHex);
  EXPECT_EQ(digest.str(), "sha256:" + kHex);
  EXPECT_EQ(digest, oci::Digest::from_hex(kHex));
  EXPECT_LT(digest, oci::Digest::from_hex(std::string(64, 'b')));
}

TEST(Digest, RefusesEverythingElse) {
  const std::string bad[] = {
      "",
      "sha256:",
      kHex,
      "sha256:" + kHex.substr(1),
      "sha256:" + kHex + "a",
      "sha256:" + std::string(64, 'A'),
      "sha256:" + std::string(64, 'g'),
      "SHA256:" + kHex,
      "sha512:" + kHex,
      "sha256:../../../../../../etc/passwd",
      "sha256:" + kHex.substr(2) + "/.",
      "sha256:" + kHex.substr(1) + std::string(1, '\0'),
      " sha256:" + kHex,
      "sha256:" + kHex + "\n",
      std::string(10'000'000, 'a'),
  };
  for (const std::string& text : bad) {
    SCOPED_TRACE(text.substr(0, 100));
    EXPECT_FALSE(oci::is_sha256(text));
    EXPECT_LT(refusal_of([&] { oci::Digest::parse(text); }).size(), 500U);
  }
  refusal_of([] { oci::DiffId::from_hex("abc"); });
}

TEST(Digest, KindsCannotBeSwapped) {
  EXPECT_FALSE((std::is_convertible_v<oci::Digest, oci::DiffId>));
  EXPECT_FALSE((std::is_constructible_v<oci::ImageId, oci::Digest>));
}

}  // namespace
