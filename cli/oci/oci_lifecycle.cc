#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstring>
#include <regex.h>

#include "base/cleanup.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

// A command whose only word is the id.
std::string parse_id_only(const char* name, const char* summary, const Words& words) {
  Options app(name, summary);
  std::string id;
  app.add_word("ID", id);
  parse(app, words);
  return id;
}

// "KILL", "SIGKILL", "9", "RTMIN+3"; 0 asks whether there is anybody, kill(2).
int parse_signal(const std::string& text) {
  int number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (result.ec == std::errc() && result.ptr == text.data() + text.size()) {
    if (number >= 0 && number <= SIGRTMAX) return number;
  } else {
    std::string name = text;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::toupper(letter)); });
    if (name.starts_with("SIG")) name.erase(0, 3);
    for (int signal = 1; signal < SIGRTMIN; ++signal) {
      const char* const known = sigabbrev_np(signal);
      if (known != nullptr && name == known) return signal;
    }
    for (int signal = SIGRTMIN; signal <= SIGRTMAX; ++signal) {
      if (name == "RTMIN" + (signal == SIGRTMIN ? "" : "+" + std::to_string(signal - SIGRTMIN)))
        return signal;
      if (name == "RTMAX" + (signal == SIGRTMAX ? "" : "-" + std::to_string(SIGRTMAX - signal)))
        return signal;
    }
  }
  throw Error(ErrorKind::kInvalid, "unknown signal \"" + text + "\"");
}

}  // namespace

namespace {

// One id, or all that an extended regular expression matches (crun's --regex).
Words find_ids(const Globals& globals, const std::string& id, bool is_pattern) {
  if (!is_pattern) return {id};
  regex_t pattern = {};
  if (regcomp(&pattern, id.c_str(), REG_EXTENDED | REG_NOSUB) != 0) {
    throw Error(ErrorKind::kInvalid, "\"" + id + "\" is no regular expression");
  }
  const base::Cleanup free_pattern([&] { regfree(&pattern); });
  Words ids;
  for (const runtime::State& state : all_states(globals)) {
    if (regexec(&pattern, state.id.c_str(), 0, nullptr, 0) == 0) ids.push_back(state.id);
  }
  return ids;
}

void kill_one(const Globals& globals, const std::string& id, int number, bool all) {
  const runtime::State state = load(globals, id);
  // The words by which containerd knows that there is nothing left to kill.
  if (!all && state.status == runtime::Status::kStopped) {
    throw Error(ErrorKind::kConflict, "container not running: " + id);
  }
  runtime::kill_container(state_dir_of(globals, id), number,
                          all ? runtime::KillScope::kAll : runtime::KillScope::kInit);
}

void delete_one(const Globals& globals, const std::string& id, bool force) {
  const fs::path state_dir = state_dir_of(globals, id);
  if (!force) {
    const runtime::State state = load(globals, id);
    // One that was never started has nothing to lose.
    force = state.status == runtime::Status::kCreated;
    if (!force && state.status != runtime::Status::kStopped) {
      throw Error(ErrorKind::kConflict, "cannot delete container " + id +
                                            " that is not stopped: " + status_word(state.status));
    }
  }
  runtime::remove(state_dir,
                  force ? runtime::RemoveMode::kForced : runtime::RemoveMode::kStoppedOnly);
}

}  // namespace

int run_kill(const Globals& globals, const Words& words) {
  Options app("kill", "Sends a signal to the container's first process");
  std::string id;
  std::string signal = "SIGTERM";
  bool all = false;
  bool is_pattern = false;
  app.add("-a,--all", &all, "To every process of the container");
  app.add("-r,--regex", &is_pattern, "ID is a regular expression");
  app.add_word("ID", id);
  app.add_optional_word("SIGNAL", signal);
  parse(app, words);
  const int number = parse_signal(signal);
  for (const std::string& each : find_ids(globals, id, is_pattern)) {
    kill_one(globals, each, number, all);
  }
  return 0;
}

int run_delete(const Globals& globals, const Words& words) {
  Options app("delete", "Removes what is left of a container");
  std::string id;
  bool force = false;
  bool is_pattern = false;
  app.add("-f,--force", &force, "Kill it first where it runs; a missing one is no error");
  app.add("-r,--regex", &is_pattern, "ID is a regular expression");
  app.add_word("ID", id);
  parse(app, words);
  for (const std::string& each : find_ids(globals, id, is_pattern)) {
    delete_one(globals, each, force);
  }
  return 0;
}

int run_pause(const Globals& globals, const Words& words) {
  runtime::pause(
      state_dir_of(globals, parse_id_only("pause", "Stops all processes where they are", words)));
  return 0;
}

int run_resume(const Globals& globals, const Words& words) {
  runtime::resume(
      state_dir_of(globals, parse_id_only("resume", "Lets paused processes go on", words)));
  return 0;
}

}  // namespace cli_oci
