// What every fuzz target demands of a parser: a value or one kInvalid line, and nothing else.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/error.h"

#define FUZZ_CHECK(condition)                                                        \
  do {                                                                               \
    if (!(condition)) {                                                              \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                  \
    }                                                                                \
  } while (false)

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// Runs `action`, which may refuse its input.
template <class Action>
void try_parse(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    const std::string_view text = error.what();
    FUZZ_CHECK(error.kind() == base::ErrorKind::kInvalid);
    FUZZ_CHECK(!text.empty() && text.size() < 10'000);
    FUZZ_CHECK(std::none_of(text.begin(), text.end(), [](char c) {
      return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
    }));
  }
}
