// The first byte chooses the Content-Type, the rest is the body.
#include <array>

#include "oci/manifest.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr std::array<const char*, 8> kTypes = {
      "",
      oci::kOciIndex,
      oci::kOciManifest,
      oci::kDockerList,
      oci::kDockerManifest,
      "application/json",
      "Application/VND.oci.image.index.v1+JSON; charset=utf-8",
      "application/vnd.docker.distribution.manifest.v1+prettyjws"};
  if (size == 0) return 0;
  try_parse([&] {
    const auto value =
        oci::parse_manifest(text_of(data + 1, size - 1), kTypes[data[0] % kTypes.size()]);
    if (const auto* index = std::get_if<oci::Index>(&value)) {
      for (const char* wanted : {"linux/amd64", "linux/arm64/v9.5", "linux/arm/v7"}) {
        const auto found = find_platform(*index, oci::Platform::parse(wanted));
        FUZZ_CHECK(!found || !index->manifests.empty());
      }
    } else {
      FUZZ_CHECK(std::get<oci::Manifest>(value).layers.size() <= oci::kMaxLayers);
    }
  });
  return 0;
}
