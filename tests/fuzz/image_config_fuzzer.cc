// Every image config that is accepted reads back as itself.
#include "oci/image_config.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try_parse([&] {
    const oci::ImageConfig config = oci::parse_image_config(text_of(data, size));
    for (const std::string& entry : config.env) FUZZ_CHECK(entry.find('=', 1) != std::string::npos);
    const std::string rendered = oci::render_image_config(config);
    FUZZ_CHECK(oci::parse_image_config(rendered) == config);
    FUZZ_CHECK(oci::render_image_config(oci::parse_image_config(rendered)) == rendered);
  });
  return 0;
}
