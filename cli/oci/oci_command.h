// Command: one row of sampan-oci's command table, and what every command is handed.
#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/oci/oci_options.h"
#include "oci/runtime_spec.h"
#include "runtime/container.h"

namespace cli_oci {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

inline constexpr char kVersion[] = "0.1.0";
inline constexpr char kSpecVersion[] = "1.2.0";

// What the words before the command said.
struct Globals {
  fs::path root;  // one directory below it for each container
  fs::path log;   // empty: stderr only
  bool json_log = false;
  bool debug = false;
  bool systemd_cgroup = false;
  std::string criu = "criu";  // the program of checkpoint and restore
  // Whether what this user may not do to cgroups is left out; none: where we are not root.
  std::optional<bool> rootless;
};

struct Command {
  std::string_view name, synopsis, summary;
  int (*run)(const Globals&, const Words&);
};

// --help was asked for: the text to print, and what it was made from.
struct HelpRequest {
  std::string text, usage;
  std::vector<Options::Help> options;
};

// Parses a command's words; `app` has its options. Throws kInvalid, or HelpRequest.
void parse(Options& app, const Words& words);

// Where a container's state is. Checks the id, which becomes a file name. Throws kInvalid.
fs::path state_dir_of(const Globals& globals, const std::string& id);
// As runtime::load_state, for messages that other engines look for: "container does not exist".
runtime::State load(const Globals& globals, const std::string& id);
// Every container below --root, sorted by id.
std::vector<runtime::State> all_states(const Globals& globals);
fs::path seccomp_cache_of(const Globals& globals);

// bundle/config.json, or another file, whose name counts from the bundle. Throws kNotFound,
// kInvalid.
oci::RuntimeSpec load_spec(const fs::path& bundle, const fs::path& config = {});

// Of the option --bundle: absolute; empty is the current directory.
fs::path bundle_of(const std::string& option);

// Whether --console-socket is there just where a terminal needs it: `leaves` where no process of
// ours stays to serve it. Throws kInvalid.
void check_terminal(const oci::RuntimeSpec& spec, const std::string& console_socket, bool leaves);

// Of --systemd-cgroup: the system's systemd, or the user's own. Throws kUnavailable.
void choose_systemd(const Globals& globals, runtime::CreateOptions& options);

// Where a container that was made by --config has its copy.
fs::path config_copy_of(const fs::path& state_dir);
// The configuration that a container was made from.
oci::RuntimeSpec load_spec_of(const fs::path& state_dir, const runtime::State& state);

// The option --format of commands that print a table or JSON.
void add_format(Options& app, std::string& format);

std::string variable(const char* name);  // of the environment; empty where it is not set
void print(std::string_view text);       // stdout
void write_pid_file(const std::string& path, pid_t pid);
std::string status_word(runtime::Status status);

int run_create(const Globals&, const Words&);
int run_run(const Globals&, const Words&);
int run_start(const Globals&, const Words&);
int run_exec(const Globals&, const Words&);
int run_kill(const Globals&, const Words&);
int run_delete(const Globals&, const Words&);
int run_pause(const Globals&, const Words&);
int run_resume(const Globals&, const Words&);
int run_update(const Globals&, const Words&);
int run_state(const Globals&, const Words&);
int run_list(const Globals&, const Words&);
int run_ps(const Globals&, const Words&);
int run_events(const Globals&, const Words&);
int run_spec(const Globals&, const Words&);
int run_features(const Globals&, const Words&);
int run_checkpoint(const Globals&, const Words&);
int run_restore(const Globals&, const Words&);

// The table in the order of help.
const std::vector<Command>& commands();
// Of the words before the command.
HelpRequest help_of_globals();
// The whole program after main() has protected its binary.
int run_program(const Words& words);
// Whether these words name a command that starts processes inside a container: our own binary must
// be out of their reach first.
bool enters_container(std::span<char* const> words);

}  // namespace cli_oci
