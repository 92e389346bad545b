// run, create, start, attach: what gives a container its streams.
#include <algorithm>
#include <fcntl.h>
#include <iterator>
#include <strings.h>
#include <unistd.h>

#include "base/files.h"
#include "base/letter_case.h"
#include "base/trace.h"
#include "base/unique_fd.h"
#include "cli/command.h"
#include "cli/container_flags.h"
#include "cli/progress.h"

namespace cli {
namespace {

const Syntax kRun = {.command = "run",
                     .synopsis = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
                     .summary = "Create and run a new container from an image",
                     .min_arguments = 1,
                     .max_arguments = kAnyNumber,
                     .flags = Syntax::Flags::kBeforeArguments};
const Syntax kCreate = {.command = "create",
                        .synopsis = "[OPTIONS] IMAGE [COMMAND] [ARG...]",
                        .summary = "Create a new container",
                        .min_arguments = 1,
                        .max_arguments = kAnyNumber,
                        .flags = Syntax::Flags::kBeforeArguments};
const Syntax kStart = {.command = "start",
                       .synopsis = "[OPTIONS] CONTAINER [CONTAINER...]",
                       .summary = "Start one or more stopped containers",
                       .min_arguments = 1,
                       .max_arguments = kAnyNumber};
const Syntax kAttach = {
    .command = "attach",
    .synopsis = "[OPTIONS] CONTAINER",
    .summary = "Attach local standard input, output, and error streams to a running container",
    .min_arguments = 1,
    .max_arguments = 1};

// The file is ours from before the container exists, so that two commands can't share it; docker's
// words where it is there.
class ContainerIdFile {
 public:
  explicit ContainerIdFile(const std::string& path) : path_(path) {
    if (path.empty()) return;
    fd_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (fd_) return;
    if (errno != EEXIST) base::throw_errno("failed to create the container ID file");
    throw base::Error(
        base::ErrorKind::kConflict,
        "container ID file found, make sure the other container isn't running or delete " + path);
  }
  ContainerIdFile(const ContainerIdFile&) = delete;
  ContainerIdFile& operator=(const ContainerIdFile&) = delete;
  ~ContainerIdFile() {
    if (fd_ && !is_written_) ::unlink(path_.c_str());
  }
  void write(const std::string& id) {
    if (!fd_) return;
    base::write_all(fd_.get(), id);
    is_written_ = true;
  }

 private:
  std::string path_;
  base::UniqueFd fd_;
  bool is_written_ = false;
};

void check_streams(const std::vector<std::string>& streams) {
  for (const std::string& stream : streams) {
    const char* const kStreams[] = {"stdin", "stdout", "stderr"};
    if (std::none_of(std::begin(kStreams), std::end(kStreams),
                     [&](const char* known) { return strcasecmp(stream.c_str(), known) == 0; })) {
      throw base::Error(
          base::ErrorKind::kInvalid,
          "invalid argument \"" + stream +
              "\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT and STDERR");
    }
  }
}

void check_terminal(bool interactive, bool tty) {
  if (interactive && tty && isatty(STDIN_FILENO) == 0) {
    throw base::Error(base::ErrorKind::kInvalid, "the input device is not a TTY");
  }
}

std::string create_container(engine::Engine& engine, const engine::ContainerOptions& options,
                             bool quiet, engine::Engine::Purpose purpose) {
  PullDisplay display(quiet ? PullOutput::kQuiet : PullOutput::kStderr, options.image);
  return engine.create(
      options, [&](const engine::PullProgress& progress) { display.show(progress); }, purpose);
}

std::string render_trace(const base::TraceEvent& event) {
  std::string line = std::string(event.room) + ": " + std::string(event.text);
  if (event.duration >= 0) {
    const auto microseconds = static_cast<std::uint64_t>(event.duration / 1000);
    std::string shown = std::to_string(microseconds);
    shown.insert(0, shown.size() < 8 ? 8 - shown.size() : 0, ' ');
    return shown + " us  " + line;
  }
  return std::string(13, ' ') + line;
}

}  // namespace

int run_run(const Globals& globals, const Words& words) {
  ContainerFlags container;
  bool detach = false;
  bool explain = false;
  bool trace = false;
  bool sig_proxy = true;
  std::vector<std::string> attach_to;
  std::vector<Flag> flags = container.flags();
  flags.push_back(
      {"-d,--detach", "", "Run container in background and print container ID", &detach});
  flags.push_back({"-a,--attach", "list", "Attach to STDIN, STDOUT or STDERR", &attach_to});
  flags.push_back(
      {"--sig-proxy", "", "Proxy received signals to the process (default true)", &sig_proxy});
  flags.push_back({"--explain", "", "Print the whole plan and do nothing", &explain});
  flags.push_back({"--trace", "", "Print what each step took", &trace});
  const Words arguments = parse_arguments(kRun, flags, words);
  check_streams(attach_to);
  engine::ContainerOptions options = container.to_options(arguments);
  if (trace) {
    base::set_trace_sink([](const base::TraceEvent& event) { print_error(render_trace(event)); });
  }
  if (explain) {
    print(engine::Engine(globals.config).explain(options));
    return 0;
  }
  if (!detach) check_terminal(options.interactive, options.tty);
  engine::Engine engine(globals.config, engine::Engine::Purpose::kStart);
  ContainerIdFile id_file(container.cidfile);
  const std::string id =
      create_container(engine, options, container.quiet, engine::Engine::Purpose::kStart);
  id_file.write(id);
  if (detach) {
    engine.start(id);
    print(id + "\n");
    return 0;
  }
  engine::AttachOptions attach;
  attach.stdin_open = options.interactive;
  attach.forward_signals = sig_proxy;
  attach.detach_keys = container.detach_keys;
  if (!attach_to.empty()) {
    const auto wants = [&](const std::string& stream) {
      return std::any_of(attach_to.begin(), attach_to.end(), [&](const std::string& given) {
        return base::lower_case(given) == stream;
      });
    };
    attach.stdin_open = attach.stdin_open && wants("stdin");
    attach.stdout_open = wants("stdout");
    attach.stderr_open = wants("stderr");
  }
  return engine.start_attached(id, attach).value_or(0);
}

int run_create(const Globals& globals, const Words& words) {
  ContainerFlags container;
  std::vector<std::string> attach_to;  // `start` says it again
  std::vector<Flag> flags = container.flags();
  flags.push_back({"-a,--attach", "list", "Attach to STDIN, STDOUT or STDERR", &attach_to});
  const Words arguments = parse_arguments(kCreate, flags, words);
  check_streams(attach_to);
  const engine::ContainerOptions options = container.to_options(arguments);
  engine::Engine engine(globals.config);
  ContainerIdFile id_file(container.cidfile);
  const std::string id =
      create_container(engine, options, container.quiet, engine::Engine::Purpose::kKeep);
  id_file.write(id);
  print(id + "\n");
  return 0;
}

int run_start(const Globals& globals, const Words& words) {
  bool attach = false;
  engine::AttachOptions options;
  const std::vector<Flag> flags = {
      {"-a,--attach", "", "Attach STDOUT/STDERR and forward signals", &attach},
      {"-i,--interactive", "", "Attach container's STDIN", &options.stdin_open},
      {"--detach-keys", "string", "Override the key sequence for detaching a container",
       &options.detach_keys},
  };
  const Words arguments = parse_arguments(kStart, flags, words);
  engine::Engine engine(globals.config, engine::Engine::Purpose::kStart);
  if (attach || options.stdin_open) {
    if (arguments.size() > 1) {
      throw base::Error(base::ErrorKind::kInvalid,
                        "you cannot start and attach multiple containers at once");
    }
    return engine.start_attached(arguments[0], options).value_or(0);
  }
  return for_each_argument(arguments, [&](const std::string& name) {
    engine.start(name);
    print(name + "\n");
  });
}

int run_attach(const Globals& globals, const Words& words) {
  bool no_stdin = false;
  engine::AttachOptions options;
  const std::vector<Flag> flags = {
      {"--no-stdin", "", "Do not attach STDIN", &no_stdin},
      {"--sig-proxy", "", "Proxy all received signals to the process (default true)",
       &options.forward_signals},
      {"--detach-keys", "string", "Override the key sequence for detaching a container",
       &options.detach_keys},
  };
  const Words arguments = parse_arguments(kAttach, flags, words);
  engine::Engine engine(globals.config);
  options.stdin_open = !no_stdin && engine.load_container(arguments[0]).options.interactive;
  return engine.attach(arguments[0], options).value_or(0);
}

}  // namespace cli
