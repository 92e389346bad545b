// sampan-image: the half of sampan that reads and writes archives, talks to registries and parses
// what they send; started by the engine, in a process of its own.
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <new>
#include <string_view>
#include <unistd.h>
#include <utility>

#include "base/error.h"
#include "cli/image/event_writer.h"
#include "cli/image/image_commands.h"
#include "cli/image/privileges.h"
#include "cli/image/reader_watch.h"

namespace {

constexpr int kEventFd = 3;
constexpr int kUsageError = 2;

constexpr std::pair<std::string_view, cli::ImageCommand> kCommands[] = {
    {"pull", cli::run_pull_command},
};

cli::ImageCommand find_command(std::string_view name) {
  for (const auto& [known, run] : kCommands) {
    if (known == name) return run;
  }
  return nullptr;
}

int run(cli::ImageCommand command, int argc, char** argv, cli::EventWriter& events) {
  try {
    cli::raise_file_limit();
    cli::drop_privileges();
    return command(argc, argv, events);
  } catch (const base::Error& error) {
    events.send(error);
  } catch (const std::exception& error) {
    events.send(base::Error(base::ErrorKind::kSystem, error.what()));
  }
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  // Before anything else is opened and could be taken for it.
  const bool has_event_fd = fcntl(kEventFd, F_SETFD, FD_CLOEXEC) == 0;
  const int event_fd = has_event_fd ? kEventFd : STDOUT_FILENO;
  // A registry that hangs up must not end us; a reader that does is noticed by ReaderWatch.
  std::signal(SIGPIPE, SIG_IGN);

  const cli::ImageCommand command = argc > 1 ? find_command(argv[1]) : nullptr;
  if (command == nullptr) {
    std::fputs("Usage:  sampan-image COMMAND ...   (started by sampan, not by hand)\n\nCommands:",
               stderr);
    for (const auto& [name, unused] : kCommands) {
      std::fprintf(stderr, " %.*s", static_cast<int>(name.size()), name.data());
    }
    std::fputs("\n", stderr);
    return kUsageError;
  }
  cli::EventWriter events(event_fd);
  int status = 1;
  {
    const cli::ReaderWatch watch(event_fd);
    status = run(command, argc - 1, argv + 1, events);
  }
  std::fflush(stdout);
  _exit(status);  // nothing is left to be undone, and the libraries' own undoing takes time
}
