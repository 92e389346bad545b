// Every reference that is accepted reads back as itself, in full and as docker shows it.
#include "oci/platform.h"
#include "oci/reference.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(data, size);
  try_parse([&] {
    const oci::Reference reference = oci::Reference::parse(text);
    FUZZ_CHECK(oci::Reference::parse(reference.str()) == reference);
    FUZZ_CHECK(oci::Reference::parse(reference.familiar()) == reference);
    FUZZ_CHECK(reference.path().size() <= 255);
    FUZZ_CHECK(reference.str().find("..") == std::string::npos ||
               (reference.tag() && reference.tag()->find("..") != std::string::npos));
    FUZZ_CHECK(!reference.manifest_name().empty());
  });
  try_parse([&] {
    const oci::Platform platform = oci::Platform::parse(text);
    FUZZ_CHECK(oci::Platform::parse(platform.str()) == platform);
    FUZZ_CHECK(!oci::preferences_of(platform).empty());
  });
  return 0;
}
