#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <unistd.h>

#include "base/files.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {

using base::Error;
using base::ErrorKind;

fs::path state_dir_of(const Globals& globals, const std::string& id) {
  const bool plain = std::all_of(id.begin(), id.end(), [](unsigned char letter) {
    return std::isalnum(letter) != 0 || letter == '_' || letter == '+' || letter == '.' ||
           letter == '-';
  });
  if (id.empty() || id.size() > 255 || !plain || id == "." || id == "..") {
    throw Error(ErrorKind::kInvalid,
                "container id \"" + id + "\": only letters, digits and _+.- make one");
  }
  return globals.root / id;
}

runtime::State load(const Globals& globals, const std::string& id) {
  return runtime::load_state(state_dir_of(globals, id));
}

// Beside the containers, under a name that no id can have.
fs::path seccomp_cache_of(const Globals& globals) { return globals.root / "seccomp cache"; }

oci::RuntimeSpec load_spec(const fs::path& bundle, const fs::path& config) {
  const fs::path file = bundle / (config.empty() ? "config.json" : config);
  const auto text = base::find_file(file, 16U << 20U);
  if (!text && !config.empty()) throw Error(ErrorKind::kNotFound, file.string() + ": no such file");
  if (!text) {
    throw Error(ErrorKind::kNotFound, "no config.json in " + bundle.string() +
                                          "; \"sampan-oci spec\" writes one to begin with");
  }
  return base::while_doing(file.filename().string(),
                           [&] { return oci::parse_runtime_spec(*text); });
}

fs::path bundle_of(const std::string& option) {
  const fs::path bundle = fs::absolute(option.empty() ? "." : option).lexically_normal();
  return !bundle.has_filename() && bundle != bundle.root_path() ? bundle.parent_path() : bundle;
}

void check_terminal(const oci::RuntimeSpec& spec, const std::string& console_socket, bool leaves) {
  const bool terminal = spec.process && spec.process->terminal;
  if (terminal && leaves && console_socket.empty()) {
    throw Error(ErrorKind::kInvalid,
                "process.terminal needs --console-socket where nobody stays to serve the terminal");
  }
  if (!console_socket.empty() && (!terminal || !leaves)) {
    throw Error(ErrorKind::kInvalid,
                "--console-socket is for detached containers with process.terminal");
  }
}

fs::path config_copy_of(const fs::path& state_dir) { return state_dir / "config.json"; }

oci::RuntimeSpec load_spec_of(const fs::path& state_dir, const runtime::State& state) {
  const bool copied = fs::exists(config_copy_of(state_dir));
  return load_spec(copied ? state_dir : state.bundle);
}

void add_format(Options& app, std::string& format) {
  app.add("-f,--format", &format, "table or json").one_of({"table", "json"});
}

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

void print(std::string_view text) { base::write_all(STDOUT_FILENO, text); }

void write_pid_file(const std::string& path, pid_t pid) {
  if (path.empty()) return;
  // Whoever waits for the file must not see it empty.
  base::while_doing("pid file", [&] {
    const std::string text = std::to_string(pid);
    if (!base::add_file(fs::absolute(path), text)) base::replace_file(fs::absolute(path), text);
  });
}

std::string status_word(runtime::Status status) {
  switch (status) {
    case runtime::Status::kCreating:
      return "creating";
    case runtime::Status::kCreated:
      return "created";
    case runtime::Status::kRunning:
      return "running";
    case runtime::Status::kPaused:
      return "paused";
    case runtime::Status::kStopped:
      return "stopped";
  }
  return "unknown";
}

}  // namespace cli_oci
