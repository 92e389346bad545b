// logs and exec.
#include <charconv>
#include <unistd.h>

#include "base/files.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/container_flags.h"
#include "cli/moments.h"

namespace cli {
namespace {

std::int64_t parse_tail(const std::string& text) {
  if (text == "all") return -1;
  std::int64_t lines = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), lines);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    throw base::Error(base::ErrorKind::kInvalid, "invalid value for \"--tail\": " + text);
  }
  return lines;
}

}  // namespace

int run_logs(const Globals& globals, const Words& words) {
  engine::LogOptions options;
  std::string since;
  std::string until;
  std::string tail = "all";
  const Words arguments = parse_arguments(
      {.command = "logs",
       .synopsis = "[OPTIONS] CONTAINER",
       .summary = "Fetch the logs of a container",
       .min_arguments = 1,
       .max_arguments = 1},
      {{"-f,--follow", "", "Follow log output", &options.follow},
       {"-t,--timestamps", "", "Show timestamps", &options.timestamps},
       {"-n,--tail", "string", "Number of lines to show from the end of the logs", &tail},
       {"--since", "string", "Show logs since a timestamp or relative time (e.g. \"42m\")", &since},
       {"--until", "string", "Show logs before a timestamp or relative time (e.g. \"42m\")",
        &until},
       {"--details", "", "Show extra details provided to logs", &options.details}},
      words);
  options.since = parse_moment("--since", since);
  options.until = parse_moment("--until", until);
  options.tail = parse_tail(tail);
  engine::Engine engine(globals.config);
  engine.logs(arguments[0], options, [](bool is_stderr, std::string_view line) {
    if (is_stderr) {
      base::write_all(STDERR_FILENO, line);
    } else {
      print(line);
    }
  });
  return 0;
}

int run_exec(const Globals& globals, const Words& words) {
  engine::ExecRequest request;
  std::vector<std::string> env;
  std::vector<std::string> env_files;
  const Words arguments = parse_arguments(
      {.command = "exec",
       .synopsis = "[OPTIONS] CONTAINER COMMAND [ARG...]",
       .summary = "Execute a command in a running container",
       .min_arguments = 2,
       .max_arguments = kAnyNumber,
       .flags = Syntax::Flags::kBeforeArguments},
      {{"-d,--detach", "", "Detached mode: run command in the background", &request.detach},
       {"-e,--env", "list", "Set environment variables", &env},
       {"--env-file", "list", "Read in a file of environment variables", &env_files},
       {"-i,--interactive", "", "Keep STDIN open even if not attached", &request.interactive},
       {"-t,--tty", "", "Allocate a pseudo-TTY", &request.tty},
       {"-u,--user", "string", "Username or UID (format: \"<name|uid>[:<group|gid>]\")",
        &request.user},
       {"-w,--workdir", "string", "Working directory inside the container", &request.working_dir},
       {"--privileged", "", "Give extended privileges to the command", &request.privileged},
       {"--detach-keys", "string", "Override the key sequence for detaching a container",
        &request.detach_keys}},
      words);
  if (request.interactive && request.tty && !request.detach && isatty(STDIN_FILENO) == 0) {
    throw base::Error(base::ErrorKind::kInvalid, "the input device is not a TTY");
  }
  for (const std::string& file : env_files) {
    for (std::string& entry : read_env_file(file)) request.env.push_back(std::move(entry));
  }
  for (std::string& entry : resolve_env(env)) request.env.push_back(std::move(entry));
  request.command.assign(arguments.begin() + 1, arguments.end());
  engine::Engine engine(globals.config);
  return engine.exec(arguments[0], request);
}

}  // namespace cli
