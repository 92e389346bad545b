// sampan-oci: the runtime as a command that other engines can call in runc's place.
#include <cstdint>
#include <cstdlib>
#include <malloc.h>
#include <sys/mman.h>

#include "cli/oci/oci_command.h"
#include "cli/oci/oci_view.h"

namespace {

// The earliest that a program's own code can run: the start that protect_self() replaces pays for
// no library's globals (locales of the C++ library) and for none of their pages. oci_entry.cc,
// where the architecture has it, has done the work before that.
constexpr int kFirst = 101;

// What the start of a container takes of the heap is asked for at once: page by page it would cost
// twice as much.
void prepare_heap() {
  constexpr std::size_t kUsual = 128U << 10U;
  constexpr std::uintptr_t kPage = 4096;
  mallopt(M_MMAP_THRESHOLD, 1 << 20);  // from the heap, and kept there
  mallopt(M_TRIM_THRESHOLD, 1 << 20);
  void* const memory = std::malloc(kUsual);
  const std::uintptr_t first =
      (reinterpret_cast<std::uintptr_t>(memory) + kPage - 1) & ~(kPage - 1);
  madvise(reinterpret_cast<void*>(first), kUsual - kPage, MADV_POPULATE_WRITE);
  std::free(memory);
}

[[gnu::constructor(kFirst)]] void prepare(int argc, char** argv) {
  if (argc < 2 || !cli_oci::enters_container({argv + 1, argv + argc})) return;
  cli_oci::find_view();
  runtime::protect_self(argv);
  prepare_heap();
}

}  // namespace

int main(int argc, char** argv) {
  return cli_oci::run_program(cli_oci::Words(argv + 1, argv + argc));
}
