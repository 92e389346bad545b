// The command table: help, "did you mean" and dispatch are derived from it.
#pragma once

#include <span>

#include "cli/command.h"

namespace cli {

std::span<const Command> commands();

// The whole program: argv in, exit code out. Prints every error.
int run_program(int argc, char** argv);

}  // namespace cli
