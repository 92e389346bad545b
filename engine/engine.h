// Engine: containers as users know them; each function is one docker command without its printing.
#pragma once

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/changes.h"
#include "engine/log/log_view.h"
#include "engine/network_state.h"
#include "engine/options.h"
#include "storage/changes.h"
#include "storage/store.h"

namespace engine {

namespace fs = std::filesystem;

struct NetworkChange;

struct Config {
  fs::path root = "/var/lib/sampan";
  fs::path state = "/run/sampan";  // must not outlive a boot
  std::string cgroup_parent = "/sampan";
  std::string bridge_subnet;      // empty: chosen on first use
  bool obey_host_filter = false;  // see network::HostFilter
  std::vector<std::string> insecure_registries;
  fs::path image_helper;  // empty: sampan-image, beside our own binary
  fs::path init_helper;   // empty: sampan-init, beside our own binary
};

// What `ps` and `inspect` show, with the row's status corrected by what really runs.
struct ContainerInfo {
  storage::ContainerRow row;
  ContainerOptions options;
  NetworkState network;  // of one that runs
  // On the default network; empty where it is not there.
  std::string ip_address, gateway, mac_address;
  int ip_prefix = 0;
  std::vector<network::PublishedPort> ports;
  std::optional<Health> health;  // of a container with a health check that has run
};

// A line of the helper, decoded: kinds resolved, exists, downloading, unpacking, done, retrying.
// Two are create()'s own: "missing" (text: the image's name, which is pulled next) and "warning"
// (text: one line for the user, as docker's "WARNING: …").
struct PullProgress {
  std::string kind, layer, text;
  std::uint64_t current = 0, total = 0;
};
struct PullSummary {
  std::string image_id, digest, warning;
  bool changed = false;
};

struct ExecRequest {
  std::vector<std::string> command, env;
  std::string working_dir, user;
  bool interactive = false, tty = false, detach = false, privileged = false;
  std::string detach_keys = "ctrl-p,ctrl-q";
};

struct AttachOptions {
  bool stdin_open = false, stdout_open = true, stderr_open = true;
  bool forward_signals = true;  // the command's SIGINT, SIGTERM, … go to the container
  std::string detach_keys = "ctrl-p,ctrl-q";
};

class Engine {
 public:
  // kStart: the caller starts a container next.
  enum class Purpose { kKeep, kStart };

  // Opens the store; sweeps what a killed command left (cheap). kStart: the process that will be
  // the container's monitor loads meanwhile, and ends by itself where it is not needed.
  explicit Engine(Config config, Purpose purpose = Purpose::kKeep);
  ~Engine();

  storage::Store& store();
  const Config& config() const;

  // Images.
  PullSummary pull(std::string_view reference, std::string_view platform,
                   const std::function<void(const PullProgress&)>& on_progress);

  // Containers. `create` resolves the image (pulling as options.pull says), adds row, lease and
  // volumes; returns the id. kStart: should the caller die before it starts it, the next command
  // removes a --rm container.
  std::string create(const ContainerOptions& options,
                     const std::function<void(const PullProgress&)>& on_progress,
                     Purpose purpose = Purpose::kKeep);
  // Starts it detached: returns when its program executes; throws kCommandNotFound and
  // kCommandNotRunnable.
  void start(std::string_view name_or_id);
  // Starts it with our standard streams attached and waits: the exit code of the container, or
  // nullopt after the detach keys.
  std::optional<int> start_attached(std::string_view name_or_id, const AttachOptions& attach);
  std::optional<int> attach(std::string_view name_or_id, const AttachOptions& attach);

  // Sends the stop signal, waits, kills. seconds -1: for ever; nullopt: the container's own or 10.
  void stop(std::string_view name_or_id, std::optional<int> seconds, std::string_view signal = {});
  void kill(std::string_view name_or_id, std::string_view signal);
  int wait(std::string_view name_or_id);  // the exit code
  enum class RemoveForce { kNo, kYes };
  enum class RemoveVolumes { kNo, kYes };
  void remove(std::string_view name_or_id, RemoveForce force, RemoveVolumes volumes);
  void pause(std::string_view name_or_id);
  void unpause(std::string_view name_or_id);
  // Starts what its restart policy wants and nobody has stopped; returns what went wrong, a line
  // each. (Opening an Engine does as much, with those that "always" wants, once after each boot.)
  std::vector<std::string> start_wanted();
  void restart(std::string_view name_or_id, std::optional<int> seconds);
  void rename(std::string_view name_or_id, std::string_view new_name);

  // networks.h has the commands that end here.
  void change_network(std::string_view name_or_id, const NetworkChange& change);

  std::optional<ContainerInfo> find_container(std::string_view name_or_id);
  ContainerInfo load_container(std::string_view name_or_id);  // kNotFound: "No such container: x"
  std::vector<ContainerInfo> list_containers();

  // Writes the log's lines to the two sinks; returns when done, or at the container's end when
  // following.
  void logs(std::string_view name_or_id, const LogOptions& options,
            const std::function<void(bool is_stderr, std::string_view)>& sink);
  int exec(std::string_view name_or_id, const ExecRequest& request);
  // What it changed in its image's files, parents first; the targets of its mounts are left out.
  std::vector<storage::Change> diff(std::string_view name_or_id);
  // Makes an image of it; returns "sha256:…". A running container is frozen meanwhile, and thaws
  // even if this process is killed.
  std::string commit(std::string_view name_or_id, const CommitRequest& request);

  // docker's `cp` in both directions: the bytes that docker would say were copied.
  std::uint64_t copy_from(const CopyRequest& request);
  std::uint64_t copy_to(const CopyRequest& request);

  // docker's inspect document for a container or an image, as JSON text of one object. nullopt: no
  // such object. kMeasured: with SizeRw and SizeRootFs, for which its files are counted.
  enum class InspectSize { kNo, kMeasured };
  std::optional<std::string> inspect_container(std::string_view name_or_id,
                                               InspectSize size = InspectSize::kNo);
  // kNotFound where the image is not here for `platform` (empty: whatever it is for).
  std::optional<std::string> inspect_image(std::string_view name_or_id,
                                           std::string_view platform = {});

  // `run --explain`: layers, mounts, namespaces, ids, cgroup files, network messages, firewall
  // elements, capabilities, seccomp.
  std::string explain(const ContainerOptions& options);

  // A bundle that runc and crun start: config.json and rootfs (a copy; the overlay as one tree).
  void export_bundle(std::string_view container_or_image, const fs::path& destination);

 private:
  friend class ContainerRoot;
  struct State;
  std::unique_ptr<State> state_;
};

// Starts a process that empties the store's trash while nobody waits for it.
void start_janitor(const Config& config);
// That process: the hidden command `sampan __janitor --root DIR`. Killed at any moment, it leaves
// the rest to the next command that removes something.
int run_janitor(int argc, char** argv);

// The hidden command `sampan __monitor`: runs one container until its end; never returns normally
// to the command line. Descriptor 3 is the control socket to whoever started it.
int run_monitor(int argc, char** argv);

}  // namespace engine
