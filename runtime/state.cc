#include "runtime/state.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/time.h"
#include "oci/json.h"
#include "runtime/cgroup.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using nlohmann::json;

constexpr std::size_t kLargestState = 4U << 20U;

json hook_to_json(const oci::Hook& hook) {
  json value = {{"path", hook.path}};
  if (!hook.args.empty()) value["args"] = hook.args;
  if (!hook.env.empty()) value["env"] = hook.env;
  if (hook.timeout) value["timeout"] = *hook.timeout;
  return value;
}

json hooks_to_json(const std::vector<oci::Hook>& hooks) {
  json list = json::array();
  for (const oci::Hook& hook : hooks) list.push_back(hook_to_json(hook));
  return list;
}

std::vector<oci::Hook> hooks_from_json(const json& list) {
  std::vector<oci::Hook> hooks;
  for (const json& value : list) {
    oci::Hook hook{.path = value.at("path")};
    hook.args = value.value("args", std::vector<std::string>());
    hook.env = value.value("env", std::vector<std::string>());
    if (value.contains("timeout")) hook.timeout = value.at("timeout").get<int>();
    hooks.push_back(std::move(hook));
  }
  return hooks;
}

std::string render_record(const Record& record) {
  const State& state = record.state;
  json value = {{"ociVersion", state.oci_version},
                {"id", state.id},
                {"status", status_name(state.status)},
                {"pid", state.init.pid},
                {"startTime", state.init.start_time},
                {"bundle", state.bundle.string()},
                {"created", state.created},
                {"cgroupPaths", state.cgroup_paths},
                {"program", record.program},
                {"userNamespace", record.has_user_namespace},
                {"timeNamespace", record.has_time_namespace},
                {"ownsCgroups", record.owns_cgroups},
                {"keyring", record.has_keyring}};
  if (!record.systemd_unit.empty()) {
    value["systemd"] = {{"unit", record.systemd_unit}, {"bus", record.systemd_bus}};
  }
  if (const ResctrlGroup& group = record.resctrl; !group.root.empty()) {
    value["resctrl"] = {{"root", group.root},
                        {"class", group.class_path},
                        {"monitor", group.monitor},
                        {"ownsClass", group.owns_class}};
  }
  if (!state.annotations.empty()) value["annotations"] = state.annotations;
  const auto add = [&](const char* name, const std::vector<oci::Hook>& hooks) {
    if (!hooks.empty()) value["hooks"][name] = hooks_to_json(hooks);
  };
  add("startContainer", record.hooks.start_container);
  add("poststart", record.hooks.poststart);
  add("poststop", record.hooks.poststop);
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

Record parse_record(const std::string& text) {
  const json value = oci::parse_json(text);
  Record record;
  State& state = record.state;
  state.oci_version = value.at("ociVersion");
  state.id = value.at("id");
  state.status = value.at("status") == "creating" ? Status::kCreating : Status::kCreated;
  state.init = {.pid = value.at("pid").get<pid_t>(),
                .start_time = value.at("startTime").get<std::uint64_t>()};
  state.bundle = value.at("bundle").get<std::string>();
  state.created = value.at("created");
  state.cgroup_paths = value.at("cgroupPaths").get<std::vector<std::string>>();
  state.annotations = value.value("annotations", std::map<std::string, std::string>());
  record.program = value.at("program");
  record.has_user_namespace = value.at("userNamespace");
  record.has_time_namespace = value.at("timeNamespace");
  record.owns_cgroups = value.at("ownsCgroups");
  record.has_keyring = value.value("keyring", true);
  if (const auto systemd = value.find("systemd"); systemd != value.end()) {
    record.systemd_unit = systemd->at("unit");
    record.systemd_bus = systemd->at("bus");
  }
  if (const auto resctrl = value.find("resctrl"); resctrl != value.end()) {
    record.resctrl = {.root = resctrl->at("root"),
                      .class_path = resctrl->at("class"),
                      .monitor = resctrl->at("monitor"),
                      .owns_class = resctrl->at("ownsClass")};
  }
  if (const auto hooks = value.find("hooks"); hooks != value.end()) {
    const auto load = [&](const char* name) {
      return hooks->contains(name) ? hooks_from_json(hooks->at(name)) : std::vector<oci::Hook>();
    };
    record.hooks.start_container = load("startContainer");
    record.hooks.poststart = load("poststart");
    record.hooks.poststop = load("poststop");
  }
  return record;
}

bool is_there(const fs::path& path) { return access(path.c_str(), F_OK) == 0; }

}  // namespace

Record first_record(const oci::RuntimeSpec& spec, const CreateOptions& options,
                    const CgroupPlan& cgroups) {
  Record record;
  record.state = {.id = options.id,
                  .status = Status::kCreating,
                  .bundle = options.bundle,
                  .created = base::format_rfc3339(base::now()),
                  .cgroup_paths = cgroups.directories,
                  .annotations = spec.annotations,
                  .oci_version = spec.oci_version};
  record.has_user_namespace = has_namespace(spec, oci::NamespaceType::kUser);
  record.has_time_namespace = has_namespace(spec, oci::NamespaceType::kTime);
  record.has_keyring = options.new_keyring;
  record.systemd_bus = options.systemd_bus.value_or("");
  record.program = spec.process ? spec.process->args.front() : std::string();
  record.hooks = spec.hooks;
  return record;
}

void create_record(const fs::path& state_dir, const Record& record) {
  const fs::path staging = state_dir / ("state.tmp-" + base::random_hex(8));
  const base::Cleanup discard([&] { unlink(staging.c_str()); });
  base::write_file(staging, render_record(record), 0600);
  // Never over another's: of two at once, one wins.
  if (renameat2(AT_FDCWD, staging.c_str(), AT_FDCWD, (state_dir / kStateFile).c_str(),
                RENAME_NOREPLACE) == 0) {
    return;
  }
  if (errno == EEXIST) {
    throw Error(ErrorKind::kConflict, "container \"" + record.state.id + "\" exists already",
                EEXIST);
  }
  base::throw_errno((state_dir / kStateFile).string());
}

void save_record(const fs::path& state_dir, const Record& record) {
  base::replace_file(state_dir / kStateFile, render_record(record), 0600);
}

std::optional<Record> find_record(const fs::path& state_dir) {
  const auto text = base::find_file(state_dir / kStateFile, kLargestState);
  if (!text) return std::nullopt;
  try {
    return parse_record(*text);
  } catch (const json::exception& error) {
    throw Error(ErrorKind::kCorrupt, (state_dir / kStateFile).string() + ": " + error.what());
  }
}

Record load_record(const fs::path& state_dir) {
  auto record = find_record(state_dir);
  if (!record) {
    throw Error(ErrorKind::kNotFound,
                "container \"" + state_dir.filename().string() + "\" does not exist", ENOENT);
  }
  return std::move(*record);
}

Status current_status(const fs::path& state_dir, const Record& record) {
  if (record.state.init.pid == 0) return Status::kCreating;
  const auto process = base::open_process(record.state.init);
  if (!process || base::has_exited(process->get())) return Status::kStopped;
  if (record.state.status == Status::kCreating) return Status::kCreating;
  if (!is_there(state_dir / kStartedFile)) return Status::kCreated;
  return is_frozen(record.state.cgroup_paths) ? Status::kPaused : Status::kRunning;
}

std::string status_name(Status status) {
  switch (status) {
    case Status::kCreating:
      return "creating";
    case Status::kCreated:
      return "created";
    case Status::kRunning:
      return "running";
    case Status::kPaused:
      return "paused";
    case Status::kStopped:
      return "stopped";
  }
  return {};
}

std::string render_process_state(const State& state, pid_t pid, const std::string& metadata) {
  json value = {{"ociVersion", state.oci_version},
                {"fds", {"seccompFd"}},
                {"pid", pid},
                {"state", json::parse(render_state(state))}};
  if (!metadata.empty()) value["metadata"] = metadata;
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string render_state(const State& state) {
  json value = {{"ociVersion", state.oci_version},
                {"id", state.id},
                {"status", status_name(state.status)},
                {"bundle", state.bundle.string()}};
  if (state.status != Status::kStopped) value["pid"] = state.init.pid;
  if (!state.annotations.empty()) value["annotations"] = state.annotations;
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace runtime
