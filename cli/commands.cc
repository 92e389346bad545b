#include "cli/commands.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <unistd.h>
#include <utility>

#include "base/files.h"
#include "base/trace.h"
#include "cli/config.h"
#include "cli/version.h"
#include "engine/cache_budget.h"

namespace cli {
namespace {

constexpr Command kCommands[] = {
    {"run", "Create and run a new container from an image", run_run, kEngineFailed},
    {"exec", "Execute a command in a running container", run_exec},
    {"ps", "List containers", run_ps},
    {"pull", "Download an image from a registry", run_pull},
    {"images", "List images", run_images},
    {"version", "Show the sampan version information", run_version},
    {"info", "Display system-wide information", run_info},
    {"attach", "Attach local standard streams to a running container", run_attach},
    {"bundle export", "Write an OCI bundle that runc and crun can run", run_bundle_export},
    {"commit", "Create a new image from a container's changes", run_commit},
    {"cp", "Copy files/folders between a container and the local filesystem", run_cp},
    {"create", "Create a new container", run_create},
    {"diff", "Inspect changes to files or directories on a container's filesystem", run_diff},
    {"events", "Get real time events", run_events},
    {"export", "Export a container's filesystem as a tar archive", run_export},
    {"history", "Show the history of an image", run_history},
    {"import", "Import the contents from a tarball to create a filesystem image", run_import},
    {"inspect", "Return low-level information on containers and images", run_inspect},
    {"kill", "Kill one or more running containers", run_kill},
    {"load", "Load images from a tar archive or STDIN", run_load},
    {"login", "Log in to a registry", run_login},
    {"logout", "Log out from a registry", run_logout},
    {"logs", "Fetch the logs of a container", run_logs},
    {"manifest inspect", "Display an image manifest, or manifest list", run_manifest_inspect},
    {"pause", "Pause all processes within one or more containers", run_pause},
    {"port", "List port mappings or a specific mapping for the container", run_port},
    {"push", "Upload an image to a registry", run_push},
    {"rename", "Rename a container", run_rename},
    {"restart", "Restart one or more containers", run_restart},
    {"rm", "Remove one or more containers", run_rm},
    {"rmi", "Remove one or more images", run_rmi},
    {"save", "Save one or more images to a tar archive (streamed to STDOUT by default)", run_save},
    {"search", "List the repositories of a registry", run_search},
    {"start", "Start one or more stopped containers", run_start},
    {"stats", "Display a live stream of container(s) resource usage statistics", run_stats},
    {"stop", "Stop one or more running containers", run_stop},
    {"tag", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE", run_tag},
    {"top", "Display the running processes of a container", run_top},
    {"unpause", "Unpause all processes within one or more containers", run_unpause},
    {"update", "Update configuration of one or more containers", run_update},
    {"wait", "Block until one or more containers stop, then print their exit codes", run_wait},
    {"completion", "Print a script that lets a shell complete words", run_completion},
    {"help", "", run_help},
    {"__complete", "", run_complete},
    // docker's long forms; not in the help, since each is one of the above.
    {"container attach", "", run_attach},
    {"container commit", "", run_commit},
    {"container cp", "", run_cp},
    {"container create", "", run_create},
    {"container diff", "", run_diff},
    {"container exec", "", run_exec},
    {"container exists", "Say whether there is such a container", run_container_exists},
    {"container export", "", run_export},
    {"container inspect", "", run_inspect_container},
    {"container kill", "", run_kill},
    {"container list", "", run_ps},
    {"container logs", "", run_logs},
    {"container ls", "", run_ps},
    {"container pause", "", run_pause},
    {"container port", "", run_port},
    {"container prune", "", run_container_prune},
    {"container ps", "", run_ps},
    {"container remove", "", run_rm},
    {"container rename", "", run_rename},
    {"container restart", "", run_restart},
    {"container rm", "", run_rm},
    {"container run", "", run_run, kEngineFailed},
    {"container start", "", run_start},
    {"container stats", "", run_stats},
    {"container stop", "", run_stop},
    {"container top", "", run_top},
    {"container unpause", "", run_unpause},
    {"container update", "", run_update},
    {"container wait", "", run_wait},
    {"image exists", "Say whether there is such an image", run_image_exists},
    {"image history", "", run_history},
    {"image import", "", run_import},
    {"image inspect", "", run_inspect_image},
    {"image list", "", run_images},
    {"image load", "", run_load},
    {"image ls", "", run_images},
    {"image mount", "Mount an image's files, read-only", run_image_mount},
    {"image prune", "", run_image_prune},
    {"image pull", "", run_pull},
    {"image push", "", run_push},
    {"image remove", "", run_rmi},
    {"image rm", "", run_rmi},
    {"image save", "", run_save},
    {"image tag", "", run_tag},
    {"image tree", "Show the layers of images and who shares them", run_image_tree},
    {"image umount", "", run_image_unmount},
    {"image unmount", "Unmount what 'image mount' has mounted", run_image_unmount},
    {"network connect", "Connect a container to a network", run_network_connect},
    {"network create", "Create a network", run_network_create},
    {"network disconnect", "Disconnect a container from a network", run_network_disconnect},
    {"network exists", "Say whether there is such a network", run_network_exists},
    {"network inspect", "Display detailed information on one or more networks",
     run_network_inspect},
    {"network list", "", run_network_ls},
    {"network ls", "List networks", run_network_ls},
    {"network prune", "Remove all unused networks", run_network_prune},
    {"network remove", "", run_network_rm},
    {"network rm", "Remove one or more networks", run_network_rm},
    {"system check", "Compare layers, blobs and images with their digests", run_system_check},
    {"system df", "Show disk usage", run_system_df},
    {"system events", "", run_events},
    {"system info", "", run_info},
    {"system prune", "Remove unused data", run_system_prune},
    {"system start", "Start the containers that their restart policy wants to run",
     run_system_start},
    {"volume create", "Create a volume", run_volume_create},
    {"volume exists", "Say whether there is such a volume", run_volume_exists},
    {"volume inspect", "Display detailed information on volumes", run_volume_inspect},
    {"volume list", "", run_volume_ls},
    {"volume ls", "List volumes", run_volume_ls},
    {"volume prune", "Remove unused volumes", run_volume_prune},
    {"volume remove", "", run_volume_rm},
    {"volume rm", "Remove volumes", run_volume_rm},
};

struct GlobalFlags {
  Globals globals;
  bool version = false;
  std::string config_file;
  std::optional<std::string> root, state, cgroup_parent;
  Words insecure_registries;
  Words rest;  // from the command on
};

const Syntax kGlobalSyntax = {.command = "",
                              .synopsis = "[OPTIONS] COMMAND",
                              .summary = "An image-aware container engine without a daemon",
                              .min_arguments = 0,
                              .max_arguments = kAnyNumber,
                              .flags = Syntax::Flags::kBeforeArguments};

std::vector<Flag> global_table(GlobalFlags& flags) {
  return {{"--config", "string", "Configuration file (default \"/etc/sampan/config.json\")",
           &flags.config_file},
          {"-D,--debug", "", "Print decisions and their reasons on stderr", &flags.globals.debug},
          {"--insecure-registry", "list", "Registry with which plain HTTP is allowed",
           &flags.insecure_registries},
          {"--root", "string", "Persistent state (default \"/var/lib/sampan\")", &flags.root},
          {"--state", "string", "State of this boot (default \"/run/sampan\")", &flags.state},
          {"--cgroup-parent", "string", "Control group above all containers (default \"/sampan\")",
           &flags.cgroup_parent},
          {"-v,--version", "", "Print version information and quit", &flags.version}};
}

std::string usage() {
  std::string text = "Usage:  sampan " + kGlobalSyntax.synopsis + "\n\n" + kGlobalSyntax.summary +
                     "\n\nCommands:\n";
  std::size_t width = 0;
  for (const Command& command : kCommands) width = std::max(width, command.name.size());
  for (const Command& command : kCommands) {
    if (command.summary.empty()) continue;
    text += "  " + std::string(command.name) + std::string(width - command.name.size() + 2, ' ') +
            std::string(command.summary) + "\n";
  }
  GlobalFlags flags;
  return text + "\nGlobal Options:\n" + render_options(global_table(flags)) +
         "\nRun 'sampan COMMAND --help' for more information on a command.\n";
}

// The words before the command.
GlobalFlags parse_global_words(const Words& words) {
  GlobalFlags flags;
  flags.rest = words;
  // Most commands come without: they don't pay for the table.
  if (!words.empty() && words[0].starts_with('-')) {
    flags.rest = parse_arguments(kGlobalSyntax, global_table(flags), words);
  }
  engine::Config& config = flags.globals.config;
  apply_config_file(flags.config_file, config);
  if (flags.root) config.root = std::filesystem::absolute(*flags.root);
  if (flags.state) config.state = std::filesystem::absolute(*flags.state);
  if (flags.cgroup_parent) config.cgroup_parent = *flags.cgroup_parent;
  for (std::string& registry : flags.insecure_registries) {
    config.insecure_registries.push_back(std::move(registry));
  }
  return flags;
}

[[noreturn]] void throw_unknown_command(const Words& words) {
  std::vector<std::string> known;
  for (const Command& command : kCommands) {
    if (!command.name.starts_with("__")) known.emplace_back(command.name);
  }
  const std::string& first = words[0];
  const bool is_family = first == "container" || first == "image" || first == "bundle" ||
                         first == "system" || first == "network" || first == "volume";
  const std::string shown = is_family && words.size() > 1 ? first + " " + words[1] : first;
  std::string text = "'" + shown + "' is not a sampan command.";
  if (const std::string near = nearest(shown, known); !near.empty())
    text += " Did you mean '" + near + "'?";
  throw UsageError(text + "\nSee 'sampan --help'.", 1);
}

// Commands after which the cache may be larger, or have more in it that nobody uses.
bool changes_cache(std::string_view command) {
  static constexpr std::string_view kNames[] = {"pull",   "rmi", "rm",     "load", "import",
                                                "commit", "run", "create", "prune"};
  const std::string_view last = command.substr(command.rfind(' ') + 1);
  return std::find(std::begin(kNames), std::end(kNames), last) != std::end(kNames);
}

int dispatch(const Words& words) {
  GlobalFlags flags = [&] {
    try {
      return parse_global_words(words);
    } catch (const HelpRequest&) {
      throw HelpRequest(usage());  // with the commands
    }
  }();
  if (flags.version) {
    print(std::string("sampan version ") + kVersion + "\n");
    return 0;
  }
  if (flags.rest.empty()) {
    print(usage());
    return 0;
  }
  if (flags.globals.debug) {
    base::set_trace_sink([](const base::TraceEvent& event) {
      print_error("debug: " + std::string(event.room) + ": " + std::string(event.text));
    });
  }
  flags.globals.config.image_helper =
      std::filesystem::read_symlink("/proc/self/exe").parent_path() / "sampan-image";
  const auto [command, used] = find_command(flags.rest);
  if (command == nullptr) throw_unknown_command(flags.rest);
  flags.rest.erase(flags.rest.begin(), flags.rest.begin() + static_cast<std::ptrdiff_t>(used));
  try {
    const int code = command->run(flags.globals, flags.rest);
    if (changes_cache(command->name)) {
      engine::start_janitor_for(flags.globals.config, find_cache_budget(flags.config_file));
    }
    return code;
  } catch (const base::Error& error) {
    print_error(std::string("sampan: ") + error.what());
    return exit_code_of(error, command->failure);
  }
}

}  // namespace

std::span<const Command> commands() { return kCommands; }

std::pair<const Command*, std::size_t> find_command(const Words& words) {
  for (std::size_t count = std::min<std::size_t>(2, words.size()); count > 0; --count) {
    const std::string name = count == 2 ? words[0] + " " + words[1] : words[0];
    for (const Command& command : kCommands) {
      if (command.name == name) return {&command, count};
    }
  }
  return {nullptr, 0};
}

HelpRequest help_of(const Command& command) {
  try {
    command.run({}, {"--help"});
  } catch (const HelpRequest& request) {
    return request;
  }
  throw std::logic_error("a command without help");
}

HelpRequest help_of_globals() {
  GlobalFlags flags;
  return {kGlobalSyntax, global_table(flags)};
}

Globals parse_globals(const Words& words) { return parse_global_words(words).globals; }

int exit_code_of(const base::Error& error, int otherwise) {
  if (error.kind() == base::ErrorKind::kCommandNotFound) return kNotFound;
  if (error.kind() == base::ErrorKind::kCommandNotRunnable) return kNotRunnable;
  return otherwise;
}

void print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) std::_Exit(errno == EPIPE ? 0 : 1);
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

void print_error(std::string_view text) {
  const std::string line = std::string(text) + "\n";
  const ssize_t ignored = ::write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(ignored);
}

int run_help(const Globals& globals, const Words& words) {
  const Words asked = parse_arguments({.command = "help",
                                       .synopsis = "[COMMAND]",
                                       .summary = "Show the help of a command",
                                       .min_arguments = 0,
                                       .max_arguments = 2},
                                      {}, words);
  if (asked.empty()) {
    print(usage());
    return 0;
  }
  const auto [command, used] = find_command(asked);
  if (command == nullptr) throw_unknown_command(asked);
  return command->run(globals, {"--help"});
}

int run_program(int argc, char** argv) {
  if (argc > 1 && std::string_view(argv[1]) == "__monitor") return engine::run_monitor(argc, argv);
  if (argc > 1 && std::string_view(argv[1]) == "__janitor") return engine::run_janitor(argc, argv);
  try {
    return dispatch(Words(argv + std::min(argc, 1), argv + argc));
  } catch (const HelpRequest& request) {
    print(request.what());
    return 0;
  } catch (const UsageError& error) {
    print_error(std::string("sampan: ") + error.what());
    return error.exit_code();
  } catch (const base::Error& error) {
    print_error(std::string("sampan: ") + error.what());
    return kEngineFailed;
  } catch (const std::exception& error) {
    print_error(std::string("sampan: internal error: ") + error.what());
    return kEngineFailed;
  }
}

}  // namespace cli
