#include <algorithm>

#include "cli/commands.h"
#include "cli/man/man_sources.h"

namespace cli_man {
namespace {

using cli::Command;
using cli::FlagHelp;
using cli::HelpRequest;

bool is_hidden(const Command& command) { return command.name.starts_with("__"); }

// What a command is called by its own help, which a long form shares: "run" of "container run".
// "container inspect" and the like are no second name: they have a row function of their own.
std::string own_name(const Command& command, const HelpRequest& help) {
  for (const Command& other : cli::commands()) {
    if (other.run == command.run && other.name == help.syntax().command) {
      return std::string(other.name);
    }
  }
  for (const Command& other : cli::commands()) {
    if (other.run == command.run) return std::string(other.name);
  }
  return std::string(command.name);
}

std::string page_name(std::string command) {
  std::replace(command.begin(), command.end(), ' ', '-');
  return "sampan-" + command;
}

// "-d,--detach" to "-d, --detach"; a second long name is an alias, which the help does not show.
std::string shown_names(const FlagHelp& flag) {
  const std::size_t first_long = flag.names.find("--");
  std::string names =
      flag.names.substr(0, flag.names.find(',', std::min(first_long, flag.names.size())));
  if (const std::size_t comma = names.find(','); comma != std::string::npos) {
    names.insert(comma + 1, " ");
  }
  return flag.is_switch ? names : names + " " + flag.value;
}

// A long name for the order, so that "-d" stands with the others of its letter.
std::string sort_key(const FlagHelp& flag) {
  return flag.names.substr(std::min(flag.names.find("--"), flag.names.size() - 1));
}

Section options_section(const char* title, std::vector<FlagHelp> flags) {
  std::sort(flags.begin(), flags.end(),
            [](const FlagHelp& a, const FlagHelp& b) { return sort_key(a) < sort_key(b); });
  Section section = {.title = title};
  for (const FlagHelp& flag : flags)
    section.entries.push_back({shown_names(flag), flag.help + "."});
  return section;
}

std::vector<std::string> forms(const std::string& command, const std::string& synopsis) {
  const std::string start = "sampan" + (command.empty() ? "" : " " + command);
  std::vector<std::string> all;
  for (std::size_t at = 0; at <= synopsis.size();) {
    const std::size_t end = std::min(synopsis.find('\n', at), synopsis.size());
    std::string line = synopsis.substr(at, end - at);
    line.erase(0, std::min(line.find_first_not_of(' '), line.size()));
    // Second forms may begin with the words that the first one gets here.
    if (!line.starts_with("sampan ")) line = line.empty() ? start : start + " " + line;
    all.push_back(line);
    at = end + 1;
  }
  return all;
}

// docker's other spellings of it.
std::string other_spellings(const Command& command, const std::string& name) {
  std::string text;
  for (const Command& other : cli::commands()) {
    if (other.run != command.run || other.name == name) continue;
    text += (text.empty() ? "" : ", ") + ("sampan " + std::string(other.name));
  }
  return text;
}

// From EXIT STATUS on: what holds for all commands.
std::vector<Section> common_sections() {
  return {
      {.title = "EXIT STATUS",
       .entries = {{"0", "The command did what it was asked for."},
                   {"1", "It failed; one line on the standard error output says why."},
                   {"125",
                    "run failed before the container's program started, or a flag is unknown."},
                   {"126", "The container's program can't be executed."},
                   {"127", "The container's program is not there."},
                   {"other",
                    "run, exec, start -a and attach: the exit code of the container's "
                    "program; 128 and the signal's number where a signal ended it."}}},
      {.title = "ENVIRONMENT",
       .entries = {{"CONTAINERS_REGISTRIES_CONF",
                    "A registries.conf(5) in place of the usual ones."},
                   {"DOCKER_CONFIG", "The directory of config.json, which has credentials."},
                   {"REGISTRY_AUTH_FILE", "A file of credentials as podman writes it."}}},
      {.title = "FILES",
       .entries = {{"/etc/sampan/config.json",
                    "Settings, under the names of docker's daemon.json."},
                   {"/etc/sampan/registries.conf", "Short names, search registries and mirrors."},
                   {"/var/lib/sampan", "Images, containers and volumes."},
                   {"/run/sampan", "What does not outlive a boot."}}},
  };
}

ManPage main_page() {
  const HelpRequest help = cli::help_of_globals();
  ManPage page = {.name = "sampan",
                  .summary = help.syntax().summary,
                  .synopsis = forms("", help.syntax().synopsis)};
  page.sections.push_back(
      {.title = "DESCRIPTION",
       .paragraphs = {
           "sampan pulls OCI and Docker images, unpacks their layers into overlay2 directories, "
           "wires containers to a bridge and runs them with a runtime of its own. There is no "
           "daemon: a container that runs in the background has a small process of its own beside "
           "it.",
           "Commands, flags, columns, words and exit codes are docker's; "
           "/usr/share/doc/sampan/compatibility.md lists where they differ."}});
  page.sections.push_back(options_section("OPTIONS", help.flags()));
  Section commands = {.title = "COMMANDS"};
  for (const Command& command : cli::commands()) {
    if (is_hidden(command) || command.summary.empty()) continue;
    commands.entries.push_back({std::string(command.name), std::string(command.summary) + "."});
    page.see_also.push_back(page_name(own_name(command, cli::help_of(command))) + "(1)");
  }
  page.sections.push_back(std::move(commands));
  for (Section& section : common_sections()) page.sections.push_back(std::move(section));
  std::sort(page.see_also.begin(), page.see_also.end());
  page.see_also.push_back("sampan-oci(8)");
  return page;
}

ManPage command_page(const Command& command, const std::string& name, const HelpRequest& help) {
  ManPage page = {.name = page_name(name),
                  .summary = help.syntax().summary,
                  .synopsis = forms(name, help.syntax().synopsis)};
  Section description = {.title = "DESCRIPTION", .paragraphs = {help.syntax().summary + "."}};
  if (const std::string others = other_spellings(command, name); !others.empty()) {
    description.paragraphs.push_back("Also written: " + others + ".");
  }
  page.sections.push_back(std::move(description));
  if (!help.flags().empty()) page.sections.push_back(options_section("OPTIONS", help.flags()));
  page.see_also = {"sampan(1)"};
  return page;
}

}  // namespace

std::vector<ManPage> pages_of_sampan() {
  std::vector<ManPage> pages = {main_page()};
  for (const Command& command : cli::commands()) {
    if (is_hidden(command)) continue;
    const HelpRequest help = cli::help_of(command);
    const std::string name = own_name(command, help);
    if (name == command.name) pages.push_back(command_page(command, name, help));
  }
  return pages;
}

std::map<std::string, std::string> aliases_of_sampan() {
  std::map<std::string, std::string> aliases;
  for (const Command& command : cli::commands()) {
    if (is_hidden(command)) continue;
    const std::string name = own_name(command, cli::help_of(command));
    if (name != command.name) aliases[page_name(std::string(command.name))] = page_name(name);
  }
  return aliases;
}

}  // namespace cli_man
