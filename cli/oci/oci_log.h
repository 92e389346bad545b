// Log: what went wrong, on stderr and in the file that the calling engine named by --log.
#pragma once

#include <string_view>

#include "cli/oci/oci_command.h"

namespace cli_oci {

// One line in runc's two formats, so that engines find the message where they look for runc's.
void log_line(const Globals& globals, std::string_view level, std::string_view text);
void report_failure(const Globals& globals, std::string_view text);

}  // namespace cli_oci
