#include "runtime/state.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/time.h"
#include "oci/json_value.h"
#include "oci/json_writer.h"
#include "runtime/cgroup.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

constexpr std::size_t kLargestState = 4U << 20U;

void write_hooks(oci::JsonWriter& out, std::string_view name, const std::vector<oci::Hook>& hooks) {
  if (hooks.empty()) return;
  out.key(name).begin_array();
  for (const oci::Hook& hook : hooks) {
    out.begin_object().key("path").value(hook.path);
    out.member_unless_empty("args", hook.args).member_unless_empty("env", hook.env);
    out.member("timeout", hook.timeout).end_object();
  }
  out.end_array();
}

std::vector<oci::Hook> read_hooks(const oci::JsonValue& list) {
  std::vector<oci::Hook> hooks;
  for (const oci::JsonValue& value : list.elements()) {
    oci::Hook& hook = hooks.emplace_back();
    hook.path = value["path"].string();
    value["args"].read(hook.args);
    value["env"].read(hook.env);
    value["timeout"].read(hook.timeout);
  }
  return hooks;
}

std::string render_record(const Record& record) {
  const State& state = record.state;
  oci::JsonWriter out;
  out.reserve(1024);
  out.begin_object();
  out.key("ociVersion").value(state.oci_version).key("id").value(state.id);
  out.key("status").value(status_name(state.status));
  out.key("pid").value(state.init.pid).key("startTime").value(state.init.start_time);
  out.key("bundle").value(state.bundle.native()).key("created").value(state.created);
  out.key("cgroupPaths").value(state.cgroup_paths).key("program").value(record.program);
  out.key("userNamespace").value(record.has_user_namespace);
  out.key("timeNamespace").value(record.has_time_namespace);
  out.key("ownsCgroups").value(record.owns_cgroups).key("keyring").value(record.has_keyring);
  if (!record.systemd_unit.empty()) {
    out.key("systemd").begin_object().key("unit").value(record.systemd_unit);
    out.key("bus").value(record.systemd_bus).end_object();
  }
  if (const ResctrlGroup& group = record.resctrl; !group.root.empty()) {
    out.key("resctrl").begin_object().key("root").value(group.root);
    out.key("class").value(group.class_path).key("monitor").value(group.monitor);
    out.key("ownsClass").value(group.owns_class).end_object();
  }
  out.member_unless_empty("annotations", state.annotations);
  out.key("hooks").begin_object();
  write_hooks(out, "startContainer", record.hooks.start_container);
  write_hooks(out, "poststart", record.hooks.poststart);
  write_hooks(out, "poststop", record.hooks.poststop);
  out.end_object().end_object();
  return out.take();
}

Record parse_record(const std::string& text) {
  const oci::JsonDocument document(text);
  const oci::JsonValue value = document.root();
  Record record;
  State& state = record.state;
  state.oci_version = value["ociVersion"].string();
  state.id = value["id"].string();
  state.status = value["status"].string() == "creating" ? Status::kCreating : Status::kCreated;
  state.init = {.pid = value["pid"].integer<pid_t>(),
                .start_time = value["startTime"].integer<std::uint64_t>()};
  state.bundle = value["bundle"].string();
  state.created = value["created"].string();
  value["cgroupPaths"].read(state.cgroup_paths);
  value["annotations"].read(state.annotations);
  record.program = value["program"].string();
  record.has_user_namespace = value["userNamespace"].boolean();
  record.has_time_namespace = value["timeNamespace"].boolean();
  record.owns_cgroups = value["ownsCgroups"].boolean();
  value["keyring"].read(record.has_keyring);
  value["systemd"]["unit"].read(record.systemd_unit);
  value["systemd"]["bus"].read(record.systemd_bus);
  if (const oci::JsonValue resctrl = value["resctrl"]; resctrl.exists()) {
    record.resctrl = {.root = resctrl["root"].string(),
                      .class_path = resctrl["class"].string(),
                      .monitor = resctrl["monitor"].string(),
                      .owns_class = resctrl["ownsClass"].boolean()};
  }
  record.hooks.start_container = read_hooks(value["hooks"]["startContainer"]);
  record.hooks.poststart = read_hooks(value["hooks"]["poststart"]);
  record.hooks.poststop = read_hooks(value["hooks"]["poststop"]);
  return record;
}

void write_state(oci::JsonWriter& out, const State& state) {
  out.begin_object();
  out.member_unless_empty("annotations", state.annotations);
  out.key("bundle").value(state.bundle.native()).key("id").value(state.id);
  out.key("ociVersion").value(state.oci_version);
  if (state.status != Status::kStopped) out.key("pid").value(state.init.pid);
  out.key("status").value(status_name(state.status)).end_object();
}

bool is_started(const fs::path& state_dir) {
  struct stat info = {};
  return stat((state_dir / kStartedFile).c_str(), &info) == 0 && info.st_size == 0;
}

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
  base::Cleanup discard([&] { unlink(staging.c_str()); });
  base::write_file(staging, render_record(record), 0600);
  // Never over another's: of two at once, one wins.
  if (renameat2(AT_FDCWD, staging.c_str(), AT_FDCWD, (state_dir / kStateFile).c_str(),
                RENAME_NOREPLACE) == 0) {
    discard.dismiss();
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
  } catch (const Error& error) {
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
  if (!is_started(state_dir)) return Status::kCreated;
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
  oci::JsonWriter out;
  out.begin_object();
  out.key("fds").begin_array().value("seccompFd").end_array();
  out.member_unless_empty("metadata", metadata);
  out.key("ociVersion").value(state.oci_version).key("pid").value(pid);
  write_state(out.key("state"), state);
  out.end_object();
  return out.take();
}

std::string render_state(const State& state) {
  oci::JsonWriter out;
  write_state(out, state);
  return out.take();
}

}  // namespace runtime
