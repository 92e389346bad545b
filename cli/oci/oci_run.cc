#include <cstdlib>
#include <optional>
#include <sstream>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/files.h"
#include "base/process.h"
#include "cli/oci/oci_activation.h"
#include "cli/oci/oci_command.h"
#include "cli/oci/oci_log.h"
#include "cli/oci/oci_session.h"
#include "cli/oci/oci_view.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

struct RunFlags {
  std::string id, bundle, config, console_socket, pid_file;
  int preserve_fds = 0;
  bool detach = false, keep = false, no_pivot = false, no_new_keyring = false, no_subreaper = false,
       explain = false;
};

RunFlags parse_flags(const char* name, const Words& words) {
  RunFlags flags;
  Options app(name, "Makes a container from a bundle");
  app.add("-b,--bundle", &flags.bundle, "Directory of config.json; default: the current one");
  app.add("-f,--config", &flags.config, "Another file than config.json in the bundle");
  app.add("--console-socket", &flags.console_socket, "Socket that gets the terminal's master");
  app.add("--pid-file", &flags.pid_file, "File that gets the first process's id");
  app.add("--preserve-fds", &flags.preserve_fds, "Pass on so many descriptors from 3 on")
      .between(0, 1024);
  app.add("--no-pivot", &flags.no_pivot,
          "Move the root over the host's, where that is a ramfs, which can't be pivoted");
  app.add("--no-new-keyring", &flags.no_new_keyring, "Keep the caller's session keyring");
  app.add("--no-subreaper", &flags.no_subreaper, "Leave orphans to somebody else");
  if (std::string_view(name) == "run") {
    app.add("-d,--detach", &flags.detach, "Leave the container running");
    app.add("--explain", &flags.explain, "Print the plan, step by step, and do nothing");
    app.add("--keep", &flags.keep, "Do not delete the container after its end");
  }
  app.add_word("ID", flags.id);
  parse(app, words);
  return flags;
}

struct Request {
  oci::RuntimeSpec spec;
  runtime::CreateOptions options;
  base::UniqueFd console;
  std::optional<NotifySocket> notify;
  bool has_other_config = false;
};

void add_activation(Request& request) {
  const int listening = count_listen_fds();
  request.options.preserve_fds += listening;
  if (request.spec.process) add_listen_variables(*request.spec.process, listening);
  if (auto notify = NotifySocket::from_environment(request.options.state_dir)) {
    notify->add_to(request.spec);
    request.notify.emplace(std::move(*notify));
  }
}

Request make_request(const Globals& globals, const RunFlags& flags, bool leaves) {
  Request request;
  respect_preserved(flags.preserve_fds + count_listen_fds());
  const fs::path bundle = bundle_of(flags.bundle);
  request.spec = load_spec(bundle, flags.config);
  request.has_other_config = !flags.config.empty();
  check_terminal(request.spec, flags.console_socket, leaves);
  if (!flags.console_socket.empty()) request.console = connect_console(flags.console_socket);
  request.options = {.id = flags.id,
                     .bundle = bundle,
                     .state_dir = state_dir_of(globals, flags.id),
                     .stdio = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
                     .cgroup_parent = "/sampan",
                     .rootless = globals.rootless,
                     .preserve_fds = flags.preserve_fds,
                     .console_socket = request.console.get(),
                     .cache_dir = seccomp_cache_of(globals),
                     .new_keyring = !flags.no_new_keyring,
                     .no_pivot = flags.no_pivot};
  choose_systemd(globals, request.options);
  if (!leaves && request.spec.process && !request.spec.process->console_size) {
    request.spec.process->console_size = find_console_size();
  }
  add_activation(request);
  return request;
}

runtime::Created create(Request& request) {
  if (request.notify) request.notify->make_directory();
  runtime::Created created = runtime::create(request.spec, request.options);
  if (request.notify) request.notify->keep();  // removed with the container from now on
  // What exec needs of it later is not in the bundle's config.json.
  if (request.has_other_config) {
    base::write_file(config_copy_of(request.options.state_dir),
                     oci::render_runtime_spec(request.spec), 0600);
  }
  return created;
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
  const RunFlags flags = parse_flags("create", words);
  Request request = make_request(globals, flags, true);
  request.options.exec_fifo = true;
  const runtime::Created created = create(request);
  or_remove(request.options.state_dir, [&] { write_pid_file(flags.pid_file, created.init.pid); });
  return 0;
}

int run_start(const Globals& globals, const Words& words) {
  Options app("start", "Runs the program of a created container");
  std::string id;
  app.add_word("ID", id);
  parse(app, words);
  const runtime::State state = load(globals, id);
  const fs::path state_dir = state_dir_of(globals, id);
  auto notify = NotifySocket::from_environment(state_dir);
  const bool listens = notify && notify->bind();
  runtime::start_by_fifo(state_dir);
  const auto process = listens ? base::open_process(state.init) : std::nullopt;
  if (process) notify->forward_until_ready(process->get(), state.init.pid);
  return 0;
}

int run_run(const Globals& globals, const Words& words) {
  const RunFlags flags = parse_flags("run", words);
  Request request = make_request(globals, flags, flags.detach);
  if (flags.explain) {
    print(runtime::explain(request.spec, request.options));
    return 0;
  }
  const fs::path& state_dir = request.options.state_dir;
  if (!flags.detach && !flags.no_subreaper) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  std::optional<Session> session;
  if (!flags.detach) session.emplace();
  // Whether somebody needs to know of the container before its program runs.
  const bool in_two_steps = request.notify || request.has_other_config || !flags.pid_file.empty();
  runtime::Created created =
      in_two_steps ? create(request) : runtime::run(request.spec, request.options);
  int code = 0;
  or_remove(state_dir, [&] {
    if (in_two_steps) {
      if (request.notify) request.notify->bind();
      write_pid_file(flags.pid_file, created.init.pid);
      runtime::start(created);
    }
    close_view();
    const NotifySocket* const notify = request.notify ? &*request.notify : nullptr;
    if (session) {
      code =
          session->wait(created.init.pid, created.pidfd.get(), std::move(created.console), notify);
    } else if (notify != nullptr) {
      notify->forward_until_ready(created.pidfd.get(), created.init.pid);
    }
  });
  if (!session) return code;
  if (!flags.keep) runtime::remove(state_dir, runtime::RemoveMode::kForced);
  session.reset();  // gives the terminal back
  _exit(code);      // all else the kernel takes back faster than we could
}

}  // namespace cli_oci
