#include "engine/program_pages.h"

#include <cstdint>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

namespace engine {
namespace {

// Segments that may not be written have never been: dropping them loses nothing (madvise(2),
// MADV_DONTNEED). Relocated constants lie in a segment that is writable, elf(5).
int forget_object(dl_phdr_info* object, std::size_t, void* page_size) {
  const std::uintptr_t page = *static_cast<std::uintptr_t*>(page_size);
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const auto& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t start = object->dlpi_addr + segment.p_vaddr;
    const std::uintptr_t end = (start + segment.p_memsz + page - 1) & ~(page - 1);
    const std::uintptr_t aligned = start & ~(page - 1);
    madvise(reinterpret_cast<void*>(aligned), end - aligned, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void forget_program_pages() noexcept {
  auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  dl_iterate_phdr(forget_object, &page);
}

}  // namespace engine
