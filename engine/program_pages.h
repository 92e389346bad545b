// Program pages: what of the program itself a process that mostly waits keeps mapped.
#pragma once

namespace engine {

// Unmaps the pages of the program's and its libraries' code and constants: they stay in the page
// cache, and those that are needed again are mapped by a minor fault each.
void forget_program_pages() noexcept;

}  // namespace engine
