#include <cstdlib>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>

#include "base/cleanup.h"
#include "cli/oci/oci_command.h"
#include "cli/oci/oci_log.h"
#include "cli/oci/oci_session.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

struct Flags {
  std::string id, bundle, console_socket, pid_file;
  int preserve_fds = 0;
  bool detach = false, keep = false, no_pivot = false, no_new_keyring = false, no_subreaper = false;
};

Flags parse_flags(const char* name, const Words& words) {
  Flags flags;
  CLI::App app("Makes a container from a bundle");
  app.name(std::string("sampan-oci ") + name);
  app.add_option("-b,--bundle", flags.bundle, "Directory of config.json; default: the current one");
  app.add_option("--console-socket", flags.console_socket,
                 "Socket that gets the terminal's master");
  app.add_option("--pid-file", flags.pid_file, "File that gets the first process's id");
  app.add_option("--preserve-fds", flags.preserve_fds, "Pass on so many descriptors from 3 on")
      ->check(CLI::Range(0, 1024));
  app.add_flag("--no-pivot", flags.no_pivot, "Not supported");
  app.add_flag("--no-new-keyring", flags.no_new_keyring, "Not supported");
  if (std::string_view(name) == "run") {
    app.add_flag("-d,--detach", flags.detach, "Leave the container running");
    app.add_flag("--keep", flags.keep, "Do not delete the container after its end");
    app.add_flag("--no-subreaper", flags.no_subreaper, "Leave orphans to somebody else");
  }
  app.add_option("ID", flags.id)->required();
  parse(app, words);
  // Both weaken the container; what asks for them must not believe that it got them.
  if (flags.no_pivot)
    throw Error(ErrorKind::kUnsupported, "--no-pivot is not supported: the root is always pivoted");
  if (flags.no_new_keyring) {
    throw Error(
        ErrorKind::kUnsupported,
        "--no-new-keyring is not supported: a container always gets a session keyring of its own");
  }
  return flags;
}

// systemd's protocol: the number of descriptors in our environment counts on top.
int listen_fds() {
  const char* const text = std::getenv("LISTEN_FDS");
  return text == nullptr ? 0 : std::max(0, std::min(1024, std::atoi(text)));
}

void check_terminal(const oci::RuntimeSpec& spec, const Flags& flags, bool leaves) {
  const bool terminal = spec.process && spec.process->terminal;
  if (terminal && leaves && flags.console_socket.empty()) {
    throw Error(ErrorKind::kInvalid,
                "process.terminal needs --console-socket where nobody stays to serve the terminal");
  }
  if (!flags.console_socket.empty() && (!terminal || !leaves)) {
    throw Error(ErrorKind::kInvalid,
                "--console-socket is for detached containers with process.terminal");
  }
}

struct Request {
  oci::RuntimeSpec spec;
  runtime::CreateOptions options;
  base::UniqueFd console;
};

Request make_request(const Globals& globals, const Flags& flags, bool leaves) {
  Request request;
  fs::path bundle = fs::absolute(flags.bundle.empty() ? "." : flags.bundle).lexically_normal();
  if (!bundle.has_filename() && bundle != bundle.root_path()) bundle = bundle.parent_path();
  request.spec = load_spec(bundle);
  check_terminal(request.spec, flags, leaves);
  if (!flags.console_socket.empty()) request.console = connect_console(flags.console_socket);
  request.options = {.id = flags.id,
                     .bundle = bundle,
                     .state_dir = state_dir_of(globals, flags.id),
                     .stdio = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
                     .cgroup_parent = "/sampan",
                     .preserve_fds = flags.preserve_fds + listen_fds(),
                     .console_socket = request.console.get(),
                     .cache_dir = seccomp_cache_of(globals)};
  if (!leaves && request.spec.process && !request.spec.process->console_size) {
    request.spec.process->console_size = find_console_size();
  }
  if (listen_fds() > 0 && request.spec.process) {
    request.spec.process->env.push_back("LISTEN_FDS=" + std::to_string(listen_fds()));
    request.spec.process->env.emplace_back("LISTEN_PID=1");
  }
  return request;
}

// A container whose start failed half-way leaves nothing, whatever the reason.
template <class Action>
void or_remove(const fs::path& state_dir, Action&& action) {
  base::Cleanup discard([&] {
    try {
      runtime::remove(state_dir, runtime::RemoveMode::kForced);
    } catch (const Error&) {  // the first failure is the one to report
    }
  });
  action();
  discard.dismiss();
}

}  // namespace

int run_create(const Globals& globals, const Words& words) {
  const Flags flags = parse_flags("create", words);
  Request request = make_request(globals, flags, true);
  request.options.exec_fifo = true;
  const runtime::Created created = runtime::create(request.spec, request.options);
  or_remove(request.options.state_dir, [&] { write_pid_file(flags.pid_file, created.init.pid); });
  return 0;
}

int run_start(const Globals& globals, const Words& words) {
  CLI::App app("Runs the program of a created container");
  app.name("sampan-oci start");
  std::string id;
  app.add_option("ID", id)->required();
  parse(app, words);
  load(globals, id);
  runtime::start_by_fifo(state_dir_of(globals, id));
  return 0;
}

int run_run(const Globals& globals, const Words& words) {
  const Flags flags = parse_flags("run", words);
  Request request = make_request(globals, flags, flags.detach);
  const fs::path& state_dir = request.options.state_dir;
  if (!flags.detach && !flags.no_subreaper) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (flags.detach) {
    runtime::Created created = runtime::create(request.spec, request.options);
    or_remove(state_dir, [&] {
      write_pid_file(flags.pid_file, created.init.pid);
      runtime::start(created);
    });
    return 0;
  }
  Session session;
  runtime::Created created = runtime::create(request.spec, request.options);
  int code = 0;
  or_remove(state_dir, [&] {
    write_pid_file(flags.pid_file, created.init.pid);
    runtime::start(created);
    code = session.wait(created.init.pid, created.pidfd.get(), std::move(created.console));
  });
  if (!flags.keep) runtime::remove(state_dir, runtime::RemoveMode::kForced);
  return code;
}

}  // namespace cli_oci
