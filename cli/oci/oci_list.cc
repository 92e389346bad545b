#include <algorithm>
#include <cstdio>
#include <pwd.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "base/cleanup.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;
using Json = nlohmann::ordered_json;  // members in the order in which they are put in

// Reads the file itself: getpwuid(3) would load plug-ins, which a static program can't.
std::string owner_of(const fs::path& directory) {
  struct stat info = {};
  if (stat(directory.c_str(), &info) != 0) return {};
  const base::CHandle<FILE, fclose> users(std::fopen("/etc/passwd", "re"));
  while (const passwd* const user = users ? fgetpwent(users.get()) : nullptr) {
    if (user->pw_uid == info.st_uid) return user->pw_name;
  }
  return "#" + std::to_string(info.st_uid);
}

// The bundle may be gone or changed since; then the place is not known.
std::string rootfs_of(const Globals& globals, const runtime::State& state) {
  try {
    const oci::RuntimeSpec spec = load_spec_of(globals.root / state.id, state);
    return (state.bundle / spec.root.path).lexically_normal();
  } catch (const Error&) {
    return {};
  }
}

int pid_of(const runtime::State& state) {
  return state.status == runtime::Status::kStopped ? 0 : static_cast<int>(state.init.pid);
}

// runc's fields; the runtime specification's state has some of them.
Json state_json(const Globals& globals, const runtime::State& state) {
  Json json = {{"ociVersion", state.oci_version},
               {"id", state.id},
               {"pid", pid_of(state)},
               {"status", status_word(state.status)},
               {"bundle", state.bundle.string()},
               {"rootfs", rootfs_of(globals, state)},
               {"created", state.created}};
  if (!state.annotations.empty()) json["annotations"] = state.annotations;
  json["owner"] = owner_of(globals.root / state.id);
  return json;
}

// Columns at least 12 wide with 3 blanks between, as runc's.
std::string render_table(const std::vector<Words>& rows) {
  std::vector<std::size_t> widths;
  for (const Words& row : rows) {
    widths.resize(std::max(widths.size(), row.size()), 9);
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Words& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += row[i];
      if (i + 1 < row.size()) text.append(widths[i] + 3 - row[i].size(), ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace

std::vector<runtime::State> all_states(const Globals& globals) {
  std::vector<runtime::State> states;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(globals.root, none)) {
    if (!fs::exists(entry.path() / "state.json", none)) continue;
    try {
      states.push_back(runtime::load_state(entry.path()));
    } catch (const Error& error) {
      // Removed since we looked. Anything else is worth a word, but not the whole list.
      if (error.kind() != ErrorKind::kNotFound)
        std::fprintf(stderr, "sampan-oci: %s\n", error.what());
    }
  }
  std::sort(states.begin(), states.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return states;
}

int run_state(const Globals& globals, const Words& words) {
  Options app("state", "Prints the state of a container");
  std::string id;
  app.add_word("ID", id);
  parse(app, words);
  print(state_json(globals, load(globals, id)).dump(2, ' ', false, Json::error_handler_t::replace) +
        "\n");
  return 0;
}

int run_list(const Globals& globals, const Words& words) {
  Options app("list", "Lists the containers below --root");
  std::string format = "table";
  bool quiet = false;
  add_format(app, format);
  app.add("-q,--quiet", &quiet, "Only the ids");
  parse(app, words);
  const auto states = all_states(globals);
  std::string text;
  if (quiet) {
    for (const runtime::State& state : states) text += state.id + "\n";
  } else if (format == "json") {
    Json list = Json::array();
    for (const runtime::State& state : states) list.push_back(state_json(globals, state));
    text = list.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  } else {
    std::vector<Words> rows = {{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"}};
    for (const runtime::State& state : states) {
      rows.push_back({state.id, std::to_string(pid_of(state)), status_word(state.status),
                      state.bundle.string(), state.created, owner_of(globals.root / state.id)});
    }
    text = render_table(rows);
  }
  print(text);
  return 0;
}

}  // namespace cli_oci
