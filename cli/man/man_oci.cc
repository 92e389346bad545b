#include <stdexcept>

#include "cli/man/man_sources.h"
#include "cli/oci/oci_command.h"

namespace cli_man {
namespace {

using cli_oci::Command;
using cli_oci::HelpRequest;

HelpRequest oci_help_of(const Command& command) {
  try {
    command.run({}, {"--help"});
  } catch (const HelpRequest& request) {
    return request;
  }
  throw std::logic_error("a command without help");
}

std::vector<Entry> option_entries(const HelpRequest& help) {
  std::vector<Entry> entries;
  for (const auto& option : help.options) {
    std::string names = option.names;
    for (std::size_t at = 0; (at = names.find(',', at)) != std::string::npos; at += 2) {
      names.insert(at + 1, " ");
    }
    entries.push_back(
        {names + (option.value.empty() ? "" : " ") + option.value, option.text + "."});
  }
  return entries;
}

}  // namespace

ManPage page_of_oci() {
  const HelpRequest globals = cli_oci::help_of_globals();
  ManPage page = {.name = "sampan-oci",
                  .number = 8,
                  .summary = "OCI runtime that other container engines can call",
                  .synopsis = {globals.usage}};
  page.sections.push_back(
      {.title = "DESCRIPTION",
       .paragraphs = {"sampan-oci makes containers from OCI bundles, in the place of runc, for "
                      "podman, docker and containerd, or by hand.",
                      "Options, output and those words of messages that engines look for are "
                      "runc's."}});
  page.sections.push_back({.title = "OPTIONS", .entries = option_entries(globals)});
  for (const Command& command : cli_oci::commands()) {
    const HelpRequest help = oci_help_of(command);
    page.sections.push_back({.title = "COMMAND " + std::string(command.name),
                             .paragraphs = {help.usage, std::string(command.summary) + "."},
                             .entries = option_entries(help)});
  }
  page.sections.push_back(
      {.title = "EXIT STATUS",
       .entries = {{"0", "The command did what it was asked for."},
                   {"126, 127", "run and exec: the program can't be executed, or is not there."},
                   {"255", "exec failed otherwise."},
                   {"other",
                    "run and exec: the exit code of the program, or 128 and the number of "
                    "the signal that ended it; else 1."}}});
  page.sections.push_back(
      {.title = "FILES",
       .entries = {{"/run/sampan-oci", "The state of containers, unless --root says otherwise."}}});
  page.see_also = {"sampan(1)"};
  return page;
}

}  // namespace cli_man
