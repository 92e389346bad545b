// sampan-pull: the half of sampan that talks to registries and parses what they send; started by
// the engine, in a process of its own.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <new>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "base/trace.h"
#include "cli/pull/event_writer.h"
#include "cli/pull/privileges.h"
#include "cli/pull/reader_watch.h"
#include "engine/pull/puller.h"
#include "storage/store.h"

namespace {

constexpr int kEventFd = 3;

struct Arguments {
  std::string root, platform, reference;
  std::vector<std::string> insecure_registries;
  unsigned parallel = 6;
  bool trace = false;
};

void define_arguments(CLI::App& app, Arguments& arguments) {
  app.add_option("--root", arguments.root, "The store")->required();
  app.add_option("--platform", arguments.platform,
                 "OS/ARCHITECTURE[/VARIANT] other than the host's");
  app.add_option("--insecure-registry", arguments.insecure_registries,
                 "Host or network with which plain HTTP is allowed")
      ->allow_extra_args(false);
  app.add_option("--parallel", arguments.parallel, "Layers at the same time");
  app.add_flag("--trace", arguments.trace, "Decisions and times as events");
  app.add_option("REFERENCE", arguments.reference)->required();
}

engine::PullResult pull(const Arguments& arguments, cli::EventWriter& events) {
  const auto reference = oci::Reference::parse(arguments.reference);
  engine::PullOptions options;
  options.platform = oci::Platform::of_host();
  if (!arguments.platform.empty()) {
    options.platform = oci::Platform::parse(arguments.platform);
    options.choice = registry::Client::PlatformChoice::kExplicit;
  }
  options.client.insecure_registries = arguments.insecure_registries;
  options.parallel = arguments.parallel;
  storage::Store store(arguments.root);
  store.sweep(storage::Store::Sweep::kThorough);
  const engine::PullResult result = engine::pull(
      store, reference, options, [&](const engine::PullEvent& event) { events.send(event); });
  store.discard_trash();
  store.checkpoint();
  return result;
}

int run(const Arguments& arguments, cli::EventWriter& events) {
  try {
    cli::raise_file_limit();
    cli::drop_privileges();
    events.send(pull(arguments, events));
    return 0;
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

  CLI::App app("Pull an image into a store of sampan", "sampan-pull");
  Arguments arguments;
  define_arguments(app, arguments);
  CLI11_PARSE(app, argc, argv);

  cli::EventWriter events(event_fd);
  if (arguments.trace) {
    base::set_trace_sink([&events](const base::TraceEvent& event) { events.send(event); });
  }
  int status = 1;
  {
    const cli::ReaderWatch watch(event_fd);
    status = run(arguments, events);
  }
  std::fflush(stdout);
  _exit(status);  // nothing is left to be undone, and the libraries' own undoing takes time
}
