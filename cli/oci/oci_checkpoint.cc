#include <charconv>
#include <fcntl.h>
#include <optional>
#include <sys/prctl.h>
#include <unistd.h>

#include "cli/oci/oci_command.h"
#include "cli/oci/oci_session.h"
#include "runtime/checkpoint.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

// What runc calls it and criu understands: those of both commands, then dump's, then restore's.
struct CriuFlags {
  std::string id, bundle, images = "checkpoint", work, parent, page_server, cgroups, lsm_profile,
                          lsm_mount_context, console_socket, pid_file;
  Words empty_namespaces;
  bool tcp_established = false, tcp_skip_in_flight = false, ext_unix_sk = false, shell_job = false,
       file_locks = false, link_remap = false, lazy_pages = false, auto_dedup = false;
  int status_fd = -1;
  bool leave_running = false, pre_dump = false;
  bool detach = false, no_subreaper = false, no_pivot = false;
};

void add_common(Options& app, CriuFlags& flags) {
  app.add("--image-path", &flags.images, "Directory of criu's images");
  app.add("--work-path", &flags.work, "Directory of logs");
  app.add("--tcp-established", &flags.tcp_established, "Also open TCP connections");
  app.add("--ext-unix-sk", &flags.ext_unix_sk, "Also Unix sockets to the outside");
  app.add("--shell-job", &flags.shell_job, "Also jobs of a shell's session");
  app.add("--file-locks", &flags.file_locks, "Also file locks");
  app.add("--lazy-pages", &flags.lazy_pages, "Memory on demand, by userfaultfd");
  app.add("--manage-cgroups-mode", &flags.cgroups, "soft, full, strict or ignore")
      .one_of({"soft", "full", "strict", "ignore"});
  app.add("--empty-ns", &flags.empty_namespaces,
          "A namespace without its content: \"network\", which is always so");
  app.add("--auto-dedup", &flags.auto_dedup, "Drop pages of parent images");
  app.add_word("ID", flags.id);
}

runtime::CriuOptions criu_of(const Globals& globals, const CriuFlags& flags) {
  const auto absolute = [](const std::string& path) {
    return path.empty() ? fs::path() : fs::absolute(path).lexically_normal();
  };
  runtime::CriuOptions criu{.program = globals.criu,
                            .images = absolute(flags.images),
                            .work = absolute(flags.work),
                            .tcp_established = flags.tcp_established,
                            .tcp_skip_in_flight = flags.tcp_skip_in_flight,
                            .ext_unix_sk = flags.ext_unix_sk,
                            .shell_job = flags.shell_job,
                            .file_locks = flags.file_locks,
                            .link_remap = flags.link_remap,
                            .lazy_pages = flags.lazy_pages,
                            .auto_dedup = flags.auto_dedup,
                            .lsm_profile = flags.lsm_profile,
                            .lsm_mount_context = flags.lsm_mount_context};
  for (const std::string& name : flags.empty_namespaces) {
    if (name != "network") {
      throw Error(ErrorKind::kUnsupported, "--empty-ns " + name + ": criu knows \"network\" alone");
    }
  }
  for (const auto& [name, mode] : {std::pair("soft", runtime::CriuCgroups::kSoft),
                                   std::pair("full", runtime::CriuCgroups::kFull),
                                   std::pair("strict", runtime::CriuCgroups::kStrict)}) {
    if (flags.cgroups == name) criu.cgroups = mode;
  }
  return criu;
}

// As criu wants it: from the new images' directory to the earlier ones'.
void add_parent(const CriuFlags& flags, runtime::CriuOptions& criu) {
  if (flags.parent.empty()) return;
  // By its words: the new images' directory need not be there yet.
  if (fs::path(flags.parent).is_absolute() ||
      !fs::is_directory((criu.images / flags.parent).lexically_normal())) {
    throw Error(ErrorKind::kInvalid, "--parent-path \"" + flags.parent +
                                         "\": a directory, relative to --image-path, is wanted");
  }
  criu.parent_images = flags.parent;
}

void add_page_server(const CriuFlags& flags, runtime::CriuOptions& criu) {
  if (flags.page_server.empty()) {
    if (flags.lazy_pages) {
      throw Error(ErrorKind::kInvalid, "--lazy-pages needs --page-server, which serves them");
    }
    return;
  }
  const std::size_t colon = flags.page_server.rfind(':');
  const char* const end = flags.page_server.data() + flags.page_server.size();
  const auto parsed =
      colon == std::string::npos
          ? std::from_chars_result{nullptr, std::errc::invalid_argument}
          : std::from_chars(flags.page_server.data() + colon + 1, end, criu.page_port);
  if (colon == 0 || parsed.ec != std::errc() || parsed.ptr != end || criu.page_port == 0) {
    throw Error(ErrorKind::kInvalid, "--page-server wants ADDRESS:PORT");
  }
  criu.page_server = flags.page_server.substr(0, colon);
}

}  // namespace

int run_checkpoint(const Globals& globals, const Words& words) {
  Options app("checkpoint", "Writes a running container to files");
  CriuFlags flags;
  add_common(app, flags);
  app.add("--tcp-skip-in-flight", &flags.tcp_skip_in_flight, "Not connections just being made");
  app.add("--link-remap", &flags.link_remap, "Also open files that were removed, by new names");
  app.add("--parent-path", &flags.parent, "Images of an earlier --pre-dump");
  app.add("-R,--leave-running", &flags.leave_running, "Do not end the container");
  app.add("--pre-dump", &flags.pre_dump,
          "Only memory, for the --parent-path of a later checkpoint; the container goes on");
  app.add("--page-server", &flags.page_server, "ADDRESS:PORT that gets the memory");
  app.add("--status-fd", &flags.status_fd, "Descriptor to tell that lazy pages are ready")
      .between(3, 1 << 20);
  parse(app, words);
  const runtime::State state = load(globals, flags.id);
  runtime::CriuOptions criu = criu_of(globals, flags);
  add_parent(flags, criu);
  add_page_server(flags, criu);
  if (flags.status_fd >= 0 && fcntl(flags.status_fd, F_GETFD) < 0) {
    throw Error(ErrorKind::kInvalid,
                "--status-fd " + std::to_string(flags.status_fd) + ": no such descriptor is open");
  }
  criu.status_fd = flags.status_fd;
  const runtime::AfterDump after = flags.pre_dump        ? runtime::AfterDump::kPreDump
                                   : flags.leave_running ? runtime::AfterDump::kLeaveRunning
                                                         : runtime::AfterDump::kEnd;
  const fs::path state_dir = state_dir_of(globals, flags.id);
  runtime::checkpoint(state_dir, load_spec_of(state_dir, state), criu, after);
  if (after == runtime::AfterDump::kEnd) runtime::remove(state_dir, runtime::RemoveMode::kForced);
  return 0;
}

int run_restore(const Globals& globals, const Words& words) {
  Options app("restore", "Makes a container from a checkpoint's files");
  CriuFlags flags;
  add_common(app, flags);
  app.add("-b,--bundle", &flags.bundle, "Directory of config.json; default: the current one");
  app.add("--console-socket", &flags.console_socket, "Of containers with a terminal");
  app.add("-d,--detach", &flags.detach, "Leave the container running");
  app.add("--pid-file", &flags.pid_file, "File that gets the first process's id");
  app.add("--no-subreaper", &flags.no_subreaper, "Leave orphans to somebody else");
  app.add("--no-pivot", &flags.no_pivot, "Without meaning here");
  app.add("--lsm-profile", &flags.lsm_profile, "TYPE:NAME");
  app.add("--lsm-mount-context", &flags.lsm_mount_context, "SELinux context of mounts");
  parse(app, words);
  const runtime::CriuOptions criu = criu_of(globals, flags);
  const fs::path bundle = bundle_of(flags.bundle);
  const oci::RuntimeSpec spec = load_spec(bundle);
  check_terminal(spec, flags.console_socket, flags.detach);
  base::UniqueFd console;
  if (!flags.console_socket.empty()) console = connect_console(flags.console_socket);
  runtime::CreateOptions options = {.id = flags.id,
                                    .bundle = bundle,
                                    .state_dir = state_dir_of(globals, flags.id),
                                    .stdio = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO},
                                    .cgroup_parent = "/sampan",
                                    .console_socket = console.get(),
                                    .cache_dir = {}};
  choose_systemd(globals, options);
  if (!flags.detach && !flags.no_subreaper) prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  std::optional<Session> session;
  if (!flags.detach) session.emplace();
  runtime::Created created = runtime::restore(spec, options, criu);
  write_pid_file(flags.pid_file, created.init.pid);
  if (!session) return 0;
  const int code = session->wait(created.init.pid, created.pidfd.get(), std::move(created.console));
  runtime::remove(options.state_dir, runtime::RemoveMode::kForced);
  return code;
}

}  // namespace cli_oci
