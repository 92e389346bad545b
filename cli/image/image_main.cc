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

// Whether a command starts other programs first, and then gives up its rights itself.
enum class Rights { kDropped, kDropsThem };

struct Command {
  std::string_view name;
  cli::ImageCommand run;
  Rights rights = Rights::kDropped;
};

constexpr Command kCommands[] = {
    {.name = "pull", .run = cli::run_pull_command, .rights = Rights::kDropsThem},
    {.name = "commit", .run = cli::run_commit_command},
    {.name = "copy-in", .run = cli::run_copy_in_command},
    {.name = "copy-out", .run = cli::run_copy_out_command},
    {.name = "load", .run = cli::run_load_command},
    {.name = "save", .run = cli::run_save_command},
    {.name = "import", .run = cli::run_import_command, .rights = Rights::kDropsThem},
    {.name = "export", .run = cli::run_export_command},
    {.name = "evict", .run = cli::run_evict_command},
    {.name = "check", .run = cli::run_check_command},
    {.name = "push", .run = cli::run_push_command, .rights = Rights::kDropsThem},
    {.name = "login", .run = cli::run_login_command, .rights = Rights::kDropsThem},
    {.name = "keep-login", .run = cli::run_keep_login_command, .rights = Rights::kDropsThem},
    {.name = "logout", .run = cli::run_logout_command, .rights = Rights::kDropsThem},
    {.name = "tags", .run = cli::run_tags_command, .rights = Rights::kDropsThem},
    {.name = "search", .run = cli::run_search_command, .rights = Rights::kDropsThem},
    {.name = "manifest", .run = cli::run_manifest_command, .rights = Rights::kDropsThem},
    {.name = "__credentials", .run = cli::run_credentials_command},
};

const Command* find_command(std::string_view name) {
  for (const Command& command : kCommands) {
    if (command.name == name) return &command;
  }
  return nullptr;
}

int run(const Command& command, int argc, char** argv, cli::EventWriter& events) {
  try {
    cli::raise_file_limit();
    if (command.rights == Rights::kDropped) cli::drop_privileges();
    return command.run(argc, argv, events);
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

  const Command* const command = argc > 1 ? find_command(argv[1]) : nullptr;
  if (command == nullptr) {
    std::fputs("Usage:  sampan-image COMMAND ...   (started by sampan, not by hand)\n\nCommands:",
               stderr);
    for (const Command& known : kCommands) {
      if (known.name.starts_with("__")) continue;
      std::fprintf(stderr, " %.*s", static_cast<int>(known.name.size()), known.name.data());
    }
    std::fputs("\n", stderr);
    return kUsageError;
  }
  cli::EventWriter events(event_fd);
  int status = 1;
  {
    const cli::ReaderWatch watch(event_fd);
    status = run(*command, argc - 1, argv + 1, events);
  }
  std::fflush(stdout);
  _exit(status);  // nothing is left to be undone, and the libraries' own undoing takes time
}
