#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#include "base/files.h"
#include "base/trace.h"
#include "cli/oci/oci_command.h"
#include "cli/oci/oci_entering.h"
#include "cli/oci/oci_log.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

constexpr std::string_view kSummary = "Runs containers from OCI bundles";

struct GlobalFlags {
  Globals globals;
  std::string log_format = "text", rootless = "auto", cgroup_manager;
  bool version = false;
};

// The options before the command that take a value in the next word.
bool takes_value(std::string_view word) {
  static constexpr std::string_view kOptions[] = {"--root",     "--log",  "--log-format",
                                                  "--rootless", "--criu", "--cgroup-manager"};
  return std::find(std::begin(kOptions), std::end(kOptions), word) != std::end(kOptions);
}

// Where the command's name is; words.size() where there is none.
template <class List>
std::size_t find_command(const List& words) {
  std::size_t at = 0;
  while (at < words.size() && std::string_view(words[at]).starts_with('-')) {
    at += takes_value(words[at]) ? 2 : 1;
  }
  return std::min(at, words.size());
}

const Command* command_named(std::string_view name) {
  const auto& table = commands();
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Command& one) { return one.name == name; });
  return found == table.end() ? nullptr : &*found;
}

std::string version_text() {
  return std::string("sampan-oci version ") + kVersion + "\nspec: " + kSpecVersion + "\n";
}

std::string command_list() {
  std::string text = "\nCOMMANDS:\n";
  for (const Command& command : commands()) {
    std::string name(command.name);
    name.resize(12, ' ');
    text += "   " + name + std::string(command.summary) + "\n";
  }
  return text;
}

void add_globals(Options& app, GlobalFlags& flags) {
  app.add("--root", &flags.globals.root, "Directory for the state of containers");
  app.add("--log", &flags.globals.log, "File that gets what goes wrong");
  app.add("--log-format", &flags.log_format, "text or json").one_of({"text", "json"});
  app.add("--debug", &flags.globals.debug, "Log every decision and step");
  app.add("--systemd-cgroup", &flags.globals.systemd_cgroup,
          "Let systemd make the cgroups; cgroupsPath is then \"slice:prefix:name\"");
  app.add("--cgroup-manager", &flags.cgroup_manager, "cgroupfs or systemd")
      .one_of({"cgroupfs", "systemd"});
  app.add("--rootless", &flags.rootless,
          "Leave out what may not be done to cgroups: true, false or auto")
      .one_of({"auto", "true", "false", "1", "0"});
  app.add("--criu", &flags.globals.criu, "Program for checkpoint and restore");
  app.add("-v,-V,--version", &flags.version, "Print the version");
}

// A user without root has a directory that goes when it logs out, as for runc.
fs::path default_root() {
  const char* const own = std::getenv("XDG_RUNTIME_DIR");
  if (geteuid() == 0 || own == nullptr || *own == '\0') return "/run/sampan-oci";
  return fs::path(own) / "sampan-oci";
}

void check_globals(GlobalFlags& flags) {
  if (flags.globals.root.empty()) flags.globals.root = default_root();
  Globals& globals = flags.globals;
  if (!flags.cgroup_manager.empty()) globals.systemd_cgroup = flags.cgroup_manager == "systemd";
  if (flags.rootless != "auto")
    globals.rootless = flags.rootless == "true" || flags.rootless == "1";
  flags.globals.root = fs::absolute(flags.globals.root).lexically_normal();
  flags.globals.json_log = flags.log_format == "json";
}

int run_command(const GlobalFlags& flags, const std::string& name, const Words& arguments) {
  const Command* const command = command_named(name);
  if (command == nullptr)
    throw Error(ErrorKind::kInvalid, "no such command: " + name + "; see sampan-oci --help");
  if (flags.globals.debug) {
    base::set_trace_sink([globals = flags.globals](const base::TraceEvent& event) {
      std::string text = std::string(event.room) + ": " + std::string(event.text);
      if (event.duration >= 0) text += " (" + std::to_string(event.duration / 1000) + " us)";
      log_line(globals, "debug", text);
    });
  }
  return command->run(flags.globals, arguments);
}

int dispatch(GlobalFlags& flags, const Words& words) {
  const auto at = static_cast<std::ptrdiff_t>(find_command(words));
  Options app("", kSummary);
  add_globals(app, flags);
  const bool wants_help = !app.parse(Words(words.begin(), words.begin() + at));
  if (!wants_help && flags.version) {
    print(version_text());
    return 0;
  }
  if (!wants_help) check_globals(flags);
  if (wants_help || at == std::ssize(words) || words[static_cast<std::size_t>(at)] == "help") {
    print(app.help() + command_list());
    return 0;
  }
  return run_command(flags, words[static_cast<std::size_t>(at)],
                     Words(words.begin() + at + 1, words.end()));
}

bool names_command(const Words& words, std::string_view name) {
  const std::size_t at = find_command(words);
  return at < words.size() && words[at] == name;
}

}  // namespace

void parse(Options& app, const Words& words) {
  if (!app.parse(words)) throw HelpRequest{app.help(), app.usage(), app.rows()};
}

HelpRequest help_of_globals() {
  GlobalFlags flags;
  Options app("", kSummary);
  add_globals(app, flags);
  return {app.help() + command_list(), app.usage() + " COMMAND", app.rows()};
}

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"create", "ID", "Create a container, which then waits for start", run_create},
      {"start", "ID", "Run the program of a created container", run_start},
      {"run", "ID", "Create and start a container", run_run},
      {"exec", "ID COMMAND [ARG...]", "Start another process in a running container", run_exec},
      {"kill", "ID [SIGNAL]", "Send a signal (SIGTERM) to the container's first process", run_kill},
      {"delete", "ID", "Remove what is left of a stopped container", run_delete},
      {"state", "ID", "Print the state of a container", run_state},
      {"list", "", "List the containers below --root", run_list},
      {"ps", "ID", "List the processes of a container", run_ps},
      {"pause", "ID", "Stop all processes of a container where they are", run_pause},
      {"resume", "ID", "Let the processes of a paused container go on", run_resume},
      {"update", "ID", "Change limits of a container", run_update},
      {"events", "ID", "Print resource usage, again and again", run_events},
      {"spec", "", "Write a config.json to begin with", run_spec},
      {"features", "", "Print what this runtime can do", run_features},
      {"checkpoint", "ID", "Write a running container to files, by criu", run_checkpoint},
      {"restore", "ID", "Make a container from such files", run_restore},
  };
  return table;
}

bool enters_container(std::span<char* const> words) {
  const std::size_t at = find_command(words);
  return at < words.size() &&
         std::any_of(std::begin(kEnteringCommands), std::end(kEnteringCommands),
                     [&](const char* name) { return std::string_view(words[at]) == name; });
}

int run_program(const Words& words) {
  GlobalFlags flags;
  try {
    return dispatch(flags, words);
  } catch (const HelpRequest& request) {
    print(request.text);
    return 0;
  } catch (const Error& error) {
    report_failure(flags.globals, error.what());
    const bool is_exec = names_command(words, "exec");
    const bool is_run = names_command(words, "run");
    if ((is_exec || is_run) && error.kind() == ErrorKind::kCommandNotFound) return 127;
    if ((is_exec || is_run) && error.kind() == ErrorKind::kCommandNotRunnable) return 126;
    return is_exec ? 255 : 1;
  } catch (const std::exception& error) {  // the library's own: no memory, no current directory
    report_failure(flags.globals, error.what());
    return names_command(words, "exec") ? 255 : 1;
  }
}

}  // namespace cli_oci
