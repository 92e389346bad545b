// commit, cp, diff.
#include <filesystem>

#include "cli/command.h"
#include "engine/copy_rules.h"

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

int run_cp(const Globals& globals, const Words& words) {
  engine::CopyRequest request;
  bool quiet = false;
  const Words arguments = parse_arguments(
      {.command = "cp",
       .synopsis = "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n"
                   "        sampan cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
       .summary = "Copy files/folders between a container and the local filesystem\n\n"
                  "Use '-' as the source to read a tar archive from stdin\n"
                  "and extract it to a directory destination in a container.\n"
                  "Use '-' as the destination to stream a tar archive of a\n"
                  "container source to stdout.",
       .min_arguments = 2,
       .max_arguments = 2},
      {{"-a,--archive", "", "Archive mode (copy all uid/gid information)", &request.archive},
       {"-L,--follow-link", "", "Always follow symbol link in SRC_PATH", &request.follow_links},
       {"-q,--quiet", "", "Suppress the line that says how much was copied", &quiet}},
      words);
  const engine::CopyArgument source = engine::parse_copy_argument(arguments[0]);
  const engine::CopyArgument target = engine::parse_copy_argument(arguments[1]);
  if (source.container && target.container) {
    throw base::Error(base::ErrorKind::kInvalid, "copying between containers is not supported");
  }
  if (!source.container && !target.container) {
    throw base::Error(base::ErrorKind::kInvalid, "must specify at least one container source");
  }
  const engine::CopyArgument& inside = source.container ? source : target;
  request.container = *inside.container;
  request.container_path = inside.path;
  request.host_path = (source.container ? target : source).path;
  if (request.host_path != "-") request.working_dir = std::filesystem::current_path().string();
  if (request.host_path.empty()) {
    throw base::Error(base::ErrorKind::kInvalid, "no path on this side of the copy");
  }
  engine::Engine engine(globals.config);
  const std::uint64_t bytes =
      source.container ? engine.copy_from(request) : engine.copy_to(request);
  if (quiet || (source.container && request.host_path == "-")) return 0;
  const std::string where = source.container ? request.host_path : arguments[1];
  print_error("Successfully copied " + engine::copied_size(bytes) + " to " + where);
  return 0;
}

}  // namespace cli
