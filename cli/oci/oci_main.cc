// sampan-oci: the runtime as a command that other engines can call in runc's place.
#include "cli/oci/oci_command.h"

int main(int argc, char** argv) {
  const cli_oci::Words words(argv + 1, argv + argc);
  if (cli_oci::enters_container(words)) runtime::protect_self(argv);
  return cli_oci::run_program(words);
}
