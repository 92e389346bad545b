// stop, restart, kill, wait, rm, pause, unpause, rename, port: what happens to containers that
// exist.
#include <algorithm>
#include <cerrno>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/container_list.h"
#include "engine/bridge_network.h"

namespace cli {
namespace {

Syntax many(const std::string& command, const std::string& summary) {
  return {.command = command,
          .synopsis = "[OPTIONS] CONTAINER [CONTAINER...]",
          .summary = summary,
          .min_arguments = 1,
          .max_arguments = kAnyNumber};
}

// One of several, in a process of its own: the engine's calls wait until the container has ended.
pid_t begin_stop(const Globals& globals, const std::string& name, std::optional<int> seconds,
                 const std::string& signal) {
  const pid_t child = fork();
  if (child != 0) return base::check(child, "fork");
  _exit(for_each_argument({name}, [&](const std::string& each) {
    engine::Engine(globals.config).stop(each, seconds, signal);
  }));
}

bool has_succeeded(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) base::throw_errno("waitpid");
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// All at the same time, as docker does it, so that the slowest says how long it takes; told in the
// order of the arguments.
int stop_at_once(const Globals& globals, const Words& names, std::optional<int> seconds,
                 const std::string& signal) {
  constexpr std::size_t kMost = 50;
  std::vector<pid_t> children;
  int code = 0;
  for (std::size_t next = 0; next < names.size(); ++next) {
    while (children.size() < std::min(names.size(), next + kMost)) {
      children.push_back(begin_stop(globals, names[children.size()], seconds, signal));
    }
    if (has_succeeded(children[next])) {
      print(names[next] + "\n");
    } else {
      code = 1;
    }
  }
  return code;
}

}  // namespace

int run_stop(const Globals& globals, const Words& words) {
  std::optional<int> seconds;
  std::string signal;
  const Words arguments = parse_arguments(
      many("stop", "Stop one or more running containers"),
      {{"-t,--timeout,--time", "int", "Seconds to wait before killing the container", &seconds},
       {"-s,--signal", "string", "Signal to send to the container", &signal}},
      words);
  if (arguments.size() > 1) return stop_at_once(globals, arguments, seconds, signal);
  return for_each_argument(arguments, [&](const std::string& name) {
    engine::Engine(globals.config).stop(name, seconds, signal);
    print(name + "\n");
  });
}

int run_restart(const Globals& globals, const Words& words) {
  std::optional<int> seconds;
  std::string signal;
  const Words arguments = parse_arguments(
      many("restart", "Restart one or more containers"),
      {{"-t,--timeout,--time", "int", "Seconds to wait before killing the container", &seconds},
       {"-s,--signal", "string", "Signal to send to the container", &signal}},
      words);
  engine::Engine engine(globals.config);
  return for_each_argument(arguments, [&](const std::string& name) {
    // Another than its own: stopped by it first. restart() knows whom it must not stop.
    if (!signal.empty() && !engine.load_container(name).row.auto_remove) {
      engine.stop(name, seconds, signal);
    }
    engine.restart(name, seconds);
    print(name + "\n");
  });
}

int run_kill(const Globals& globals, const Words& words) {
  std::string signal = "KILL";
  const Words arguments = parse_arguments(
      many("kill", "Kill one or more running containers"),
      {{"-s,--signal", "string", "Signal to send to the container", &signal}}, words);
  engine::Engine engine(globals.config);
  return for_each_argument(arguments, [&](const std::string& name) {
    engine.kill(name, signal);
    print(name + "\n");
  });
}

int run_wait(const Globals& globals, const Words& words) {
  const Words arguments = parse_arguments(
      many("wait", "Block until one or more containers stop, then print their exit codes"), {},
      words);
  engine::Engine engine(globals.config);
  return for_each_argument(
      arguments, [&](const std::string& name) { print(std::to_string(engine.wait(name)) + "\n"); });
}

int run_rm(const Globals& globals, const Words& words) {
  bool force = false;
  bool volumes = false;
  const Words arguments = parse_arguments(
      many("rm", "Remove one or more containers"),
      {{"-f,--force", "", "Force the removal of a running container (uses SIGKILL)", &force},
       {"-v,--volumes", "", "Remove anonymous volumes associated with the container", &volumes}},
      words);
  using engine::Engine;
  Engine engine(globals.config);
  return for_each_argument(arguments, [&](const std::string& name) {
    if (force && !engine.find_container(name)) {
      print_error("sampan: No such container: " + name);  // docker: said, but not a failure
      return;
    }
    engine.remove(name, force ? Engine::RemoveForce::kYes : Engine::RemoveForce::kNo,
                  volumes ? Engine::RemoveVolumes::kYes : Engine::RemoveVolumes::kNo);
    print(name + "\n");
  });
}

int run_pause(const Globals& globals, const Words& words) {
  const Words arguments = parse_arguments(
      many("pause", "Pause all processes within one or more containers"), {}, words);
  engine::Engine engine(globals.config);
  return for_each_argument(arguments, [&](const std::string& name) {
    engine.pause(name);
    print(name + "\n");
  });
}

int run_unpause(const Globals& globals, const Words& words) {
  const Words arguments = parse_arguments(
      many("unpause", "Unpause all processes within one or more containers"), {}, words);
  engine::Engine engine(globals.config);
  return for_each_argument(arguments, [&](const std::string& name) {
    engine.unpause(name);
    print(name + "\n");
  });
}

int run_rename(const Globals& globals, const Words& words) {
  const Words arguments = parse_arguments({.command = "rename",
                                           .synopsis = "CONTAINER NEW_NAME",
                                           .summary = "Rename a container",
                                           .min_arguments = 2,
                                           .max_arguments = 2},
                                          {}, words);
  engine::Engine(globals.config).rename(arguments[0], arguments[1]);
  return 0;
}

int run_port(const Globals& globals, const Words& words) {
  const Words arguments =
      parse_arguments({.command = "port",
                       .synopsis = "CONTAINER [PRIVATE_PORT[/PROTO]]",
                       .summary = "List port mappings or a specific mapping for the container",
                       .min_arguments = 1,
                       .max_arguments = 2},
                      {}, words);
  engine::Engine engine(globals.config);
  std::string wanted = arguments.size() == 2 ? arguments[1] : "";
  if (!wanted.empty() && wanted.find('/') == std::string::npos) wanted += "/tcp";
  bool found = false;
  for (const auto& port : engine.load_container(arguments[0]).ports) {
    const std::string inside =
        std::to_string(port.container_port) + "/" + engine::protocol_name(port.protocol);
    if (!wanted.empty() && wanted != inside) continue;
    found = true;
    print((wanted.empty() ? inside + " -> " : "") + port.host_address.with_port(port.host_port) +
          "\n");
  }
  if (!wanted.empty() && !found) {
    throw base::Error(base::ErrorKind::kNotFound,
                      "no public port '" + wanted + "' published for " + arguments[0]);
  }
  return 0;
}

}  // namespace cli
