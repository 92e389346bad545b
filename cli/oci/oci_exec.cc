#include <algorithm>
#include <charconv>
#include <map>
#include <unistd.h>

#include "base/files.h"
#include "cli/oci/oci_command.h"
#include "cli/oci/oci_session.h"
#include "cli/oci/oci_view.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

struct ExecFlags {
  std::string id, process_file, cwd, user, apparmor, process_label, console_socket, pid_file;
  Words env, additional_gids, capabilities, cgroups, command;
  int preserve_fds = 0;
  bool tty = false, detach = false, no_new_privs = false, ignore_paused = false;
};

ExecFlags parse_flags(const Words& words) {
  ExecFlags flags;
  Options app("exec", "Starts another process in a running container");
  app.add("-p,--process", &flags.process_file, "File with the process as JSON");
  app.add("-t,--tty", &flags.tty, "Give it a terminal");
  app.add("-d,--detach", &flags.detach, "Do not wait for its end");
  app.add("--cwd", &flags.cwd, "Its working directory");
  app.add("-e,--env", &flags.env, "NAME=VALUE");
  app.add("-u,--user", &flags.user, "UID[:GID]");
  app.add("-g,--additional-gids", &flags.additional_gids, "Further group id");
  app.add("-c,--cap", &flags.capabilities, "Further capability");
  app.add("--apparmor", &flags.apparmor, "AppArmor profile");
  app.add("--process-label", &flags.process_label, "SELinux label");
  app.add("--no-new-privs", &flags.no_new_privs, "Never gain privileges by execve");
  app.add("--console-socket", &flags.console_socket, "Socket that gets the terminal's master");
  app.add("--pid-file", &flags.pid_file, "File that gets its process id");
  app.add("--preserve-fds", &flags.preserve_fds, "Pass on so many descriptors from 3 on")
      .between(0, 1024);
  app.add("--ignore-paused", &flags.ignore_paused, "Also in a paused container");
  app.add("--cgroup", &flags.cgroups, "Group below the container's: [CONTROLLER[,...]:]PATH");
  app.take_rest("ID COMMAND [ARG...]", flags.command);
  parse(app, words);
  flags.id = flags.command.front();
  flags.command.erase(flags.command.begin());
  if (!flags.command.empty() && flags.command.front() == "--")
    flags.command.erase(flags.command.begin());
  return flags;
}

std::uint32_t parse_id(std::string_view text, const char* what) {
  std::uint32_t id = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size()) {
    throw Error(ErrorKind::kInvalid,
                std::string(what) + " \"" + std::string(text) + "\" is no number");
  }
  return id;
}

void set_user(oci::User& user, const std::string& text) {
  const std::size_t colon = text.find(':');
  user = {.uid = parse_id(text.substr(0, colon), "user"),
          .gid = user.gid,
          .umask = user.umask,
          .additional_gids = {}};
  if (colon != std::string::npos) user.gid = parse_id(text.substr(colon + 1), "group");
}

void add_capabilities(oci::Process& process, const Words& names) {
  if (names.empty()) return;
  oci::Capabilities& sets =
      process.capabilities ? *process.capabilities : process.capabilities.emplace();
  for (const std::string& name : names) {
    for (auto* set : {&sets.bounding, &sets.effective, &sets.permitted}) {
      if (std::find(set->begin(), set->end(), name) == set->end()) set->push_back(name);
    }
  }
}

// "cpu,memory:inner" for each controller, "inner" for all.
std::map<std::string, std::string> parse_cgroups(const Words& words) {
  std::map<std::string, std::string> groups;
  for (const std::string& word : words) {
    const std::size_t colon = word.find(':');
    const std::string path = colon == std::string::npos ? word : word.substr(colon + 1);
    std::string controllers = colon == std::string::npos ? "" : word.substr(0, colon) + ",";
    if (controllers.empty()) groups[""] = path;
    for (std::size_t at = 0; at < controllers.size();) {
      const std::size_t comma = controllers.find(',', at);
      if (!groups.emplace(controllers.substr(at, comma - at), path).second) {
        throw Error(ErrorKind::kInvalid, "--cgroup names a controller twice: " + word);
      }
      at = comma + 1;
    }
  }
  return groups;
}

// The container's own process with what the options change.
oci::Process derive_process(const oci::RuntimeSpec& spec, const ExecFlags& flags) {
  if (!spec.process) throw Error(ErrorKind::kInvalid, "the container's config.json has no process");
  oci::Process process = *spec.process;
  if (flags.command.empty()) throw Error(ErrorKind::kInvalid, "exec needs a command or --process");
  process.args = flags.command;
  process.terminal = flags.tty;
  process.console_size.reset();
  if (!flags.cwd.empty()) process.cwd = flags.cwd;
  if (!flags.apparmor.empty()) process.apparmor_profile = flags.apparmor;
  if (!flags.process_label.empty()) process.selinux_label = flags.process_label;
  if (flags.no_new_privs) process.no_new_privileges = true;
  process.env.insert(process.env.end(), flags.env.begin(), flags.env.end());
  if (!flags.user.empty()) set_user(process.user, flags.user);
  for (const std::string& gid : flags.additional_gids) {
    process.user.additional_gids.push_back(parse_id(gid, "group"));
  }
  add_capabilities(process, flags.capabilities);
  return process;
}

oci::Process make_process(const oci::RuntimeSpec& spec, const ExecFlags& flags) {
  if (flags.process_file.empty()) return derive_process(spec, flags);
  return base::while_doing(flags.process_file, [&] {
    oci::Process process = oci::parse_process(base::read_file(flags.process_file, 16U << 20U));
    process.terminal = process.terminal || flags.tty;
    return process;
  });
}

}  // namespace

int run_exec(const Globals& globals, const Words& words) {
  const ExecFlags flags = parse_flags(words);
  respect_preserved(flags.preserve_fds);
  const runtime::State state = load(globals, flags.id);
  const fs::path state_dir = state_dir_of(globals, flags.id);
  const oci::RuntimeSpec spec = load_spec_of(state_dir, state);
  oci::Process process = make_process(spec, flags);
  if (process.terminal && !flags.detach && !process.console_size) {
    process.console_size = find_console_size();
  }
  if (process.terminal && flags.detach && flags.console_socket.empty()) {
    throw Error(ErrorKind::kInvalid,
                "--tty needs --console-socket where nobody stays to serve the terminal");
  }
  if (!flags.console_socket.empty() && (!process.terminal || !flags.detach)) {
    throw Error(ErrorKind::kInvalid, "--console-socket is for --detach with a terminal");
  }
  base::UniqueFd console;
  if (!flags.console_socket.empty()) console = connect_console(flags.console_socket);
  const runtime::ExecOptions options = {.stdio = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
                                        .preserve_fds = flags.preserve_fds,
                                        .console_socket = console.get(),
                                        .ignore_paused = flags.ignore_paused,
                                        .sub_cgroups = parse_cgroups(flags.cgroups),
                                        .cache_dir = seccomp_cache_of(globals)};
  if (flags.detach) {
    const runtime::Executed executed = runtime::exec(state_dir, spec, process, options);
    write_pid_file(flags.pid_file, executed.process.pid);
    return 0;
  }
  Session session;
  runtime::Executed executed = runtime::exec(state_dir, spec, process, options);
  close_view();
  write_pid_file(flags.pid_file, executed.process.pid);
  return session.wait(executed.process.pid, executed.pidfd.get(), std::move(executed.console));
}

}  // namespace cli_oci
