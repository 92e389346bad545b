// commit, diff.
#include "cli/command.h"

namespace cli {

int run_diff(const Globals& globals, const Words& words) {
  const Words arguments =
      parse_arguments({.command = "diff",
                       .synopsis = "CONTAINER",
                       .summary = "Inspect changes to files or directories on a container's "
                                  "filesystem",
                       .min_arguments = 1,
                       .max_arguments = 1},
                      {}, words);
  engine::Engine engine(globals.config);
  std::string text;
  for (const storage::Change& change : engine.diff(arguments[0])) {
    using Kind = storage::Change::Kind;
    text += change.kind == Kind::kAdded ? 'A' : change.kind == Kind::kDeleted ? 'D' : 'C';
    text += " " + change.path + "\n";
  }
  print(text);
  return 0;
}

int run_commit(const Globals& globals, const Words& words) {
  engine::CommitRequest request;
  const Words arguments = parse_arguments(
      {.command = "commit",
       .synopsis = "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
       .summary = "Create a new image from a container's changes",
       .min_arguments = 1,
       .max_arguments = 2},
      {{"-a,--author", "string", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
        &request.author},
       {"-c,--change", "list", "Apply Dockerfile instruction to the created image",
        &request.changes},
       {"-m,--message", "string", "Commit message", &request.message},
       {"-p,--pause", "", "Pause container during commit (default true)", &request.pause}},
      words);
  if (arguments.size() > 1) request.name = arguments[1];
  engine::Engine engine(globals.config);
  print(engine.commit(arguments[0], request) + "\n");
  return 0;
}

}  // namespace cli
