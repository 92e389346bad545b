// A token server's answer: a token that fits into a header, or one kInvalid line.
#include "registry/token.h"
#include "tests/fuzz/check.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try_parse([&] {
    const registry::Token token = registry::parse_token(text_of(data, size), 1'700'000'000);
    FUZZ_CHECK(!token.value.empty() && token.lifetime.count() >= 0);
    FUZZ_CHECK(std::none_of(token.value.begin(), token.value.end(), [](char c) {
      return static_cast<unsigned char>(c) <= 0x20 || c == 0x7F;
    }));
  });
  return 0;
}
