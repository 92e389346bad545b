// The command table: help, "did you mean" and dispatch are derived from it.
#pragma once

#include <span>
#include <utility>

#include "cli/command.h"

namespace cli {

std::span<const Command> commands();
// The row for the first one or two words, null where there is none, and how many of them it took.
std::pair<const Command*, std::size_t> find_command(const Words& words);

// What a command's help is made from, and that of the words before the command.
HelpRequest help_of(const Command& command);
HelpRequest help_of_globals();
// What words like "--root DIR" say, without a command behind them. Throws UsageError.
Globals parse_globals(const Words& words);

// The whole program: argv in, exit code out. Prints every error.
int run_program(int argc, char** argv);

}  // namespace cli
