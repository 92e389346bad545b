// Every config.json that is accepted reads back as itself.
#include "oci/runtime_spec.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = text_of(data, size);
  try_parse([&] {
    const oci::RuntimeSpec spec = oci::parse_runtime_spec(text);
    FUZZ_CHECK(oci::parse_runtime_spec(oci::render_runtime_spec(spec)) == spec);
  });
  try_parse([&] { oci::parse_process(text); });
  return 0;
}
