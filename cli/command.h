// Command: one row of the command table, and what every command is handed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "cli/arguments.h"
#include "engine/engine.h"

namespace cli {

// What the words before the command said.
struct Globals {
  engine::Config config;
  bool debug = false;
};

using Words = std::vector<std::string>;

struct Command {
  std::string_view name;     // "run", "container ls"
  std::string_view summary;  // empty: hidden from help
  int (*run)(const Globals&, const Words&);
  int failure = 1;  // exit code where the engine fails
};

// docker's exit codes for what `run` and `exec` could not start.
constexpr int kEngineFailed = 125;
constexpr int kNotRunnable = 126;
constexpr int kNotFound = 127;
int exit_code_of(const base::Error& error, int otherwise);

void print(std::string_view text);        // stdout; a closed pipe ends the program quietly
void print_error(std::string_view text);  // stderr, one line

// For commands with several arguments: each is tried, each failure is printed, 1 if any failed.
template <class Action>
int for_each_argument(const Words& arguments, Action&& action);

// The rows, by topic.
int run_run(const Globals&, const Words&);
int run_create(const Globals&, const Words&);
int run_start(const Globals&, const Words&);
int run_attach(const Globals&, const Words&);
int run_stop(const Globals&, const Words&);
int run_restart(const Globals&, const Words&);
int run_events(const Globals&, const Words&);
int run_stats(const Globals&, const Words&);
int run_top(const Globals&, const Words&);
int run_kill(const Globals&, const Words&);
int run_wait(const Globals&, const Words&);
int run_rm(const Globals&, const Words&);
int run_pause(const Globals&, const Words&);
int run_unpause(const Globals&, const Words&);
int run_rename(const Globals&, const Words&);
int run_port(const Globals&, const Words&);
int run_ps(const Globals&, const Words&);
int run_logs(const Globals&, const Words&);
int run_exec(const Globals&, const Words&);
int run_pull(const Globals&, const Words&);
int run_push(const Globals&, const Words&);
int run_login(const Globals&, const Words&);
int run_logout(const Globals&, const Words&);
int run_search(const Globals&, const Words&);
int run_manifest_inspect(const Globals&, const Words&);
int run_images(const Globals&, const Words&);
int run_rmi(const Globals&, const Words&);
int run_tag(const Globals&, const Words&);
int run_inspect(const Globals&, const Words&);
int run_inspect_container(const Globals&, const Words&);
int run_inspect_image(const Globals&, const Words&);
int run_bundle_export(const Globals&, const Words&);
int run_diff(const Globals&, const Words&);
int run_commit(const Globals&, const Words&);
int run_history(const Globals&, const Words&);
int run_image_tree(const Globals&, const Words&);
int run_image_mount(const Globals&, const Words&);
int run_image_unmount(const Globals&, const Words&);
int run_cp(const Globals&, const Words&);
int run_version(const Globals&, const Words&);
int run_info(const Globals&, const Words&);
int run_system_df(const Globals&, const Words&);
int run_system_check(const Globals&, const Words&);
int run_system_start(const Globals&, const Words&);
int run_system_prune(const Globals&, const Words&);
int run_image_prune(const Globals&, const Words&);
int run_container_prune(const Globals&, const Words&);
int run_volume_create(const Globals&, const Words&);
int run_volume_inspect(const Globals&, const Words&);
int run_volume_ls(const Globals&, const Words&);
int run_volume_prune(const Globals&, const Words&);
int run_volume_rm(const Globals&, const Words&);
int run_network_connect(const Globals&, const Words&);
int run_network_create(const Globals&, const Words&);
int run_network_disconnect(const Globals&, const Words&);
int run_network_inspect(const Globals&, const Words&);
int run_network_ls(const Globals&, const Words&);
int run_network_prune(const Globals&, const Words&);
int run_network_rm(const Globals&, const Words&);
int run_container_exists(const Globals&, const Words&);
int run_image_exists(const Globals&, const Words&);
int run_network_exists(const Globals&, const Words&);
int run_volume_exists(const Globals&, const Words&);
int run_update(const Globals&, const Words&);
int run_help(const Globals&, const Words&);
int run_completion(const Globals&, const Words&);
int run_complete(const Globals&, const Words&);
int run_load(const Globals&, const Words&);
int run_save(const Globals&, const Words&);
int run_import(const Globals&, const Words&);
int run_export(const Globals&, const Words&);

// `pull` from an archive, a layout or a directory (oci/transport.h).
int pull_from_source(const Globals& globals, const std::string& source, const std::string& platform,
                     bool quiet);

template <class Action>
int for_each_argument(const Words& arguments, Action&& action) {
  int code = 0;
  for (const std::string& argument : arguments) {
    try {
      action(argument);
    } catch (const base::Error& error) {
      print_error(std::string("sampan: ") + error.what());
      code = 1;
    }
  }
  return code;
}

}  // namespace cli
