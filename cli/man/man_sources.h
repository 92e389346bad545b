// Where manual pages come from: the tables that the programs' help is made from.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/man/man_page.h"

namespace cli_man {

// sampan(1) and a page for each command.
std::vector<ManPage> pages_of_sampan();
// docker's long forms: "sampan-container-run" to "sampan-run".
std::map<std::string, std::string> aliases_of_sampan();
// sampan-oci(8).
ManPage page_of_oci();

}  // namespace cli_man
