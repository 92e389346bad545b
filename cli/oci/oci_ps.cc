#include <algorithm>
#include <array>
#include <cstdio>
#include <fcntl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/process.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

Words split_blanks(const std::string& line) {
  Words words;
  for (std::size_t at = 0; (at = line.find_first_not_of(" \t", at)) != std::string::npos;) {
    const std::size_t end = std::min(line.find_first_of(" \t", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

// What ps(1) of the host says about all its processes.
std::string run_host_ps(const Words& options) {
  std::array<int, 2> ends = {-1, -1};
  base::check(pipe2(ends.data(), O_CLOEXEC), "pipe");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  Words arguments = {"ps"};
  arguments.insert(arguments.end(), options.begin(), options.end());
  pid_t pid = 0;
  for (const char* const program : {"/bin/ps", "/usr/bin/ps"}) {
    if (access(program, X_OK) != 0) continue;
    pid = base::spawn({.program = program,
                       .arguments = arguments,
                       .environment = {},
                       .descriptors = {{-1, 0}, {theirs.get(), 1}, {STDERR_FILENO, 2}}});
    break;
  }
  if (pid == 0) {
    throw Error(ErrorKind::kUnsupported,
                "this host has no ps(1): install procps, or use --format json for the ids alone");
  }
  theirs.reset();
  std::string text = base::read_fd(ours.get());
  if (const int code = base::wait_for_child(pid); code != 0) {
    throw Error(ErrorKind::kSystem, "ps: exit code " + std::to_string(code));
  }
  return text;
}

// Its lines with a pid of the container, by the column that the heading names.
std::string filter_lines(const std::string& text, const std::vector<pid_t>& pids) {
  std::string kept;
  std::size_t column = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const Words words = split_blanks(line);
    if (at == 0) {
      const auto found = std::find(words.begin(), words.end(), "PID");
      if (found == words.end()) {
        throw Error(ErrorKind::kInvalid, "the output of ps has no column PID: add it to -o");
      }
      column = static_cast<std::size_t>(found - words.begin());
      kept = line + "\n";
    } else if (words.size() > column && std::any_of(pids.begin(), pids.end(), [&](pid_t pid) {
                 return words[column] == std::to_string(pid);
               })) {
      kept += line + "\n";
    }
    at = end + 1;
  }
  return kept;
}

}  // namespace

int run_ps(const Globals& globals, const Words& words) {
  Options app("ps", "Lists the processes of a container by their ids on the host");
  std::string format = "table";
  add_format(app, format);
  Words rest;
  app.take_rest("ID [PS OPTIONS]", rest);
  parse(app, words);
  const std::string id = rest.front();
  rest.erase(rest.begin());
  load(globals, id);
  const std::vector<pid_t> pids = runtime::list_processes(state_dir_of(globals, id));
  if (format == "json") {
    print(nlohmann::json(pids).dump() + "\n");
    return 0;
  }
  print(filter_lines(run_host_ps(rest.empty() ? Words{"-ef"} : rest), pids));
  return 0;
}

}  // namespace cli_oci
