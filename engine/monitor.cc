#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <malloc.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/attach_protocol.h"
#include "engine/bundle.h"
#include "engine/container_log.h"
#include "engine/engine.h"
#include "engine/exit_record.h"
#include "engine/monitor_loop.h"
#include "engine/monitor_start.h"
#include "engine/network_change.h"
#include "engine/network_service.h"
#include "engine/program_pages.h"
#include "engine/shared_network.h"
#include "engine/start_hint.h"

namespace engine {
namespace {

constexpr int kControlFd = 3;
constexpr char kOomScore[] = "-500";  // the last of its container to go, but not above the host

struct Job {
  std::string id;
  std::uint8_t flags = 0;  // JobFlags
  std::uint8_t wants = 0;  // HelloFlags
  base::UniqueFd lock;     // of the run directory: held until this process ends
};

Config parse_config(int argc, char** argv) {
  Config config;
  for (int i = 1; i + 1 < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--root") config.root = argv[++i];
    if (name == "--state") config.state = argv[++i];
    if (name == "--cgroup-parent") config.cgroup_parent = argv[++i];
    if (name == "--obey-host-filter") config.obey_host_filter = std::string_view(argv[++i]) == "1";
  }
  return config;
}

// The first message of the control socket, with the lock. nullopt: the command changed its mind.
std::optional<Job> receive_job(int control) {
  std::array<char, 512> buffer;
  base::UniqueFd lock;
  const ssize_t count = base::receive_with_descriptor(control, buffer, lock);
  if (count <= 0) return std::nullopt;
  FrameReader reader;
  reader.add({buffer.data(), static_cast<std::size_t>(count)});
  FrameReader::Frame frame{};
  if (!reader.next(frame) || frame.type != FrameType::kJob || frame.payload.size() < 3 || !lock) {
    return std::nullopt;
  }
  return Job{.id = std::string(frame.payload.substr(2)),
             .flags = static_cast<std::uint8_t>(frame.payload[0]),
             .wants = static_cast<std::uint8_t>(frame.payload[1]),
             .lock = std::move(lock)};
}

// The path may be longer than sockaddr_un takes: the directory is named by its descriptor.
base::UniqueFd listen_for_clients(const RunDirectory& directory) {
  const base::UniqueFd folder = base::open_file(directory.path(), O_PATH | O_DIRECTORY);
  const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/attach.sock";
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::UniqueFd socket(
      base::check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket"));
  unlink(path.c_str());
  const mode_t old_mask = umask(0177);
  const int result =
      bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  umask(old_mask);
  base::check(result, directory.attach_socket().string());
  base::check(listen(socket.get(), 16), "listen");
  return socket;
}

// Nothing where it fails: create() fails in the same way, and then somebody hears of it.
runtime::KnownHost look_ahead() {
  try {
    return runtime::look_at_host();
  } catch (const base::Error&) {
    return nullptr;
  }
}

class Monitor {
 public:
  Monitor(Config config, Job job, base::UniqueFd control, std::optional<storage::Store> store,
          runtime::KnownHost host)
      : config_(std::move(config)),
        job_(std::move(job)),
        directory_(config_.state, job_.id),
        starter_(std::make_unique<MonitorClient>(std::move(control))),
        store_(std::move(store)),
        host_(std::move(host)) {}

  int run() {
    open_store();
    if ((job_.flags & kJobTrace) != 0) {
      base::set_trace_sink([this](const base::TraceEvent& event) {
        if (starter_) starter_->send(FrameType::kTrace, render_trace(event));
      });
    }
    std::optional<StartedContainer> container;
    if (!start(container)) return 1;
    greet();
    while (carry(*container)) {
      container.reset();
      if (!start_again(container)) break;
    }
    if (loop_) loop_->flush_clients();
    return 0;
  }

 private:
  void open_store() {
    if (!store_) store_.emplace(config_.root);
  }

  void launch(std::optional<StartedContainer>& container) {
    try {
      if (!loop_) open_container_log();
      container = create_from_bundle(*store_, config_, directory_, job_.id, host_.get());
      host_.reset();
      start_service(*container);
      base::TraceStep step("engine", "execute the program");
      runtime::start(container->process);
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kCommandNotRunnable) throw;
      throw explain_refusal(
          oci::parse_runtime_spec(base::read_file(directory_.path() / "config.json")), error);
    }
  }

  // What may be refused is refused before anything runs.
  void open_container_log() {
    const storage::ContainerRow row = load_row(*store_, job_.id);
    log_ = open_log(*store_, row, parse_options(row.options));
  }

  // On failure the row says why and the starter is told.
  bool start(std::optional<StartedContainer>& container) {
    try {
      launch(container);
      settle();
      base::TraceStep step("engine", "record that it runs");
      listener_ = listen_for_clients(directory_);
      record_start(*store_, job_.id, container->process.init, container->network, StartedBy::kUser);
    } catch (const base::Error& error) {
      fail(container, error);
      return false;
    }
    return true;
  }

  // Before the program executes: it may ask for names at once.
  void start_service(StartedContainer& container) {
    const NetworkMode mode = container.options.network;
    if (mode == NetworkMode::kHost || mode == NetworkMode::kContainer) return;
    base::TraceStep step("engine", "serve names and relayed ports");
    record_names(*store_, job_.id, container.network);
    service_.emplace(container, [this]() -> storage::Store& {
      if (!store_) store_.emplace(config_.root);
      return *store_;
    });
  }

  void fail(std::optional<StartedContainer>& container, const base::Error& error) {
    service_.reset();
    if (container) container->ports.reserved.clear();
    const bool gone = tear_down(directory_);
    if (const auto row = store_->find_container(job_.id)) record_failure(*store_, *row, error);
    starter_->send(FrameType::kError, render_error(error));
    starter_->flush_blocking();
    if (gone) directory_.remove();
    store_->discard_trash();
  }

  // By its restart policy. One that can't be started stays as it is, and its row says why.
  bool start_again(std::optional<StartedContainer>& container) {
    try {
      open_store();
      BundleInput input = load_bundle_input(*store_, load_row(*store_, job_.id));
      write_new_bundle(*store_, config_, directory_, input);
      launch(container);
      record_start(*store_, job_.id, container->process.init, container->network,
                   StartedBy::kPolicy);
    } catch (const base::Error& error) {
      service_.reset();
      if (container) container->ports.reserved.clear();
      const bool gone = tear_down(directory_);
      int code = 0;
      if (const auto row = store_->find_container(job_.id)) {
        code = record_failure(*store_, *row, error);
      }
      leave(code, gone);
      return false;
    }
    return true;
  }

  // After the clone: none of this may reach the container.
  void settle() {
    // Not SIG_IGN, which the next run of the container and its health checks would inherit.
    signal(SIGHUP, [](int) {});
    signal(SIGPIPE, [](int) {});
    const base::UniqueFd score(open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (score && write(score.get(), kOomScore, sizeof kOomScore - 1) < 0) return;  // not permitted
  }

  void greet() {
    LoopHooks hooks = {
        .set_paused = [&](bool pause) { set_paused(pause); },
        .change_network = [&](std::string_view payload) { change_network(*running_, payload); },
        .on_service =
            [&] {
              service_->serve();
              become_small();
            },
        .on_idle = [&] { rest(); },
        .on_health = [&](const Health& health, bool changed) { record_health(health, changed); }};
    loop_ = std::make_unique<MonitorLoop>(std::move(log_), std::move(listener_), std::move(hooks));
    starter_->send(FrameType::kStarted, {});
    const bool attached = (job_.flags & kJobAttached) != 0;
    base::set_trace_sink({});
    if (attached) {
      starter_->set_flags(job_.wants);
      loop_->add_client(std::move(starter_), (job_.wants & kHelloStdin) != 0
                                                 ? MonitorLoop::StdinOnce::kYes
                                                 : MonitorLoop::StdinOnce::kNo);
    } else {
      starter_->flush_blocking();
      starter_.reset();
    }
  }

  std::unique_ptr<HealthProbe> make_probe(const StartedContainer& container) {
    if (!is_health_checked(container.options.health)) return nullptr;
    auto probe =
        std::make_unique<HealthProbe>(container.options, directory_, seccomp_cache(config_));
    write_health(probe->health());
    return probe;
  }

  // One run, from its start to what follows its end: true where the container starts again.
  bool carry(StartedContainer& container) {
    const base::Nanoseconds started = base::now();
    running_ = &container;
    loop_->set_service(service_ ? service_->fd() : -1);
    const RunEnd end = loop_->run(container, make_probe(container));
    loop_->set_service(-1);
    running_ = nullptr;
    open_store();
    bool oom = false;
    try {
      oom = runtime::read_oom(container.process.cgroup_paths).killed;
    } catch (const base::Error&) {  // the groups are gone already
    }
    service_.reset();
    withdraw_network(container);
    const auto row = store_->find_container(job_.id);
    const RestartRule rule = row ? parse_options(row->options).restart : RestartRule{};
    const bool again =
        row && end.then != AfterEnd::kStay &&
        (end.then == AfterEnd::kRestart || should_restart(rule, end.code, row->restarts));
    if (!again) {
      finish(container, end, oom);
      return false;
    }
    record_restarting(*store_, job_.id, end.code, oom);
    loop_->send_exit(end.code);
    container.process.root.reset();
    static_cast<void>(tear_down(directory_));  // what resists is tried again at the next end
    rest();
    bool stopped = false;
    if (loop_->wait(backoff_.next(base::now() - started), stopped)) return true;
    open_store();
    record_stay(*store_, job_.id, stopped);
    leave(end.code, tear_down(directory_));
    return false;
  }

  void withdraw_network(StartedContainer& container) const {
    try {
      unpublish_ports(container.network);
      disconnect_sharers(directory_, container.network);
    } catch (const base::Error&) {  // tear_down() tries once more
    }
    container.ports.reserved.clear();
  }

  // What others wait for comes first: free ports and the row, then the exit code, then the rest.
  void finish(StartedContainer& container, const RunEnd& end, bool oom) {
    const bool removed = record_exit(*store_, container.row,
                                     {.code = end.code, .oom_killed = oom, .stopped = end.stopped});
    loop_->send_exit(end.code);
    const bool gone = tear_down(directory_);
    if (removed) discard_container_files(*store_, container.row, container.options);
    leave(end.code, gone);
  }

  void leave(int code, bool gone) {
    loop_->send_exit(code);
    if (gone) directory_.remove();
    job_.lock.reset();
    store_->discard_trash();
    store_->checkpoint();
    store_.reset();
  }

  void write_health(const Health& health) noexcept {
    try {
      open_store();
      base::replace_file(health_path(*store_, job_.id), render_health(health), 0600);
    } catch (const base::Error&) {  // no space: the container goes on
    }
  }

  void record_health(const Health& health, bool changed) {
    write_health(health);
    if (changed) record_health_change(*store_, job_.id, health);
    rest();
  }

  void set_paused(bool pause) {
    if (pause) {
      runtime::pause(directory_.runtime());
    } else {
      runtime::resume(directory_.runtime());
    }
    open_store();
    record_status(*store_, job_.id,
                  pause ? storage::ContainerStatus::kPaused : storage::ContainerStatus::kRunning);
    rest();
  }

  void change_network(StartedContainer& container, std::string_view payload) {
    open_store();
    const base::Cleanup shrink([&] { rest(); });
    change_running(*store_, config_, directory_, container, parse_network_change(payload));
    service_->update();
  }

  void become_small() {
    store_.reset();
    malloc_trim(0);
  }

  // Where nothing is to be done for a while.
  void rest() {
    become_small();
    forget_program_pages();
  }

  Config config_;
  Job job_;
  RunDirectory directory_;
  std::unique_ptr<MonitorClient> starter_;
  std::optional<storage::Store> store_;
  runtime::KnownHost host_;
  std::optional<NetworkService> service_;
  base::UniqueFd listener_;
  LogWriter log_;  // until the loop has it
  std::unique_ptr<MonitorLoop> loop_;
  StartedContainer* running_ = nullptr;  // while the loop has it
  RestartBackoff backoff_;
};

}  // namespace

int run_monitor(int argc, char** argv) {
  base::UniqueFd control(kControlFd);
  fcntl(control.get(), F_SETFD, FD_CLOEXEC);
  prctl(PR_SET_NAME, "sampan-monitor");
  if (chdir("/") != 0) return 1;
  umask(022);
  const Config config = parse_config(argc, argv);
  try {
    // While the command that started us still writes its row.
    std::optional<storage::Store> store(config.root);
    runtime::KnownHost host = look_ahead();
    std::optional<Job> job = receive_job(control.get());
    if (!job) return 0;
    return Monitor(config, std::move(*job), std::move(control), std::move(store), std::move(host))
        .run();
  } catch (const std::exception&) {
    return 1;  // the lock goes with us, and the next command sweeps what is left
  }
}

}  // namespace engine
