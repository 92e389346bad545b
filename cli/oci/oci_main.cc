// sampan-oci: the runtime as a command that other engines can call in runc's place.
#include "cli/oci/oci_command.h"

namespace {

// The earliest that a program's own code can run: the start that protect_self() replaces pays for
// no library's globals (locales of the C++ library) and for none of their pages. oci_entry.cc,
// where the architecture has it, has done the work before that.
constexpr int kFirst = 101;

[[gnu::constructor(kFirst)]] void protect_before_all(int argc, char** argv) {
  if (argc > 1 && cli_oci::enters_container({argv + 1, argv + argc})) runtime::protect_self(argv);
}

}  // namespace

int main(int argc, char** argv) {
  return cli_oci::run_program(cli_oci::Words(argv + 1, argv + argc));
}
