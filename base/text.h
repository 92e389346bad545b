// Text: words from outside made fit to be shown in one line on a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace base {

// Whether all of it is well-formed UTF-8, as JSON has to be.
bool is_utf8(std::string_view text);

// `text` with control characters (C0, DEL, C1) and bytes that are not UTF-8 written as \xNN, and
// "…" in place of what exceeds `limit` bytes of it.
std::string printable(std::string_view text, std::size_t limit = 160);

}  // namespace base
