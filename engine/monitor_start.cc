#include "engine/monitor_start.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/bundle.h"
#include "engine/cni.h"
#include "engine/network_restore.h"
#include "engine/shared_network.h"
#include "storage/overlay.h"

namespace engine {
namespace {

struct Pipe {
  base::UniqueFd read, write;
};

Pipe make_pipe() {
  int ends[2] = {-1, -1};
  base::check(pipe2(ends, O_CLOEXEC), "pipe");
  return {base::UniqueFd(ends[0]), base::UniqueFd(ends[1])};
}

struct Streams {  // the container's ends
  base::UniqueFd in, out, err;
};

Streams make_streams(StartedContainer& container) {
  Streams theirs;
  if (container.options.tty) return theirs;
  if (container.options.interactive) {
    Pipe pipe = make_pipe();
    theirs.in = std::move(pipe.read);
    container.in = std::move(pipe.write);
  }
  Pipe out = make_pipe();
  theirs.out = std::move(out.write);
  container.out = std::move(out.read);
  Pipe err = make_pipe();
  theirs.err = std::move(err.write);
  container.err = std::move(err.read);
  return theirs;
}

// Host ports become known here; what will be published is written down before it is, so that
// somebody else can take it back.
void reserve_network(storage::Store& store, const Config& config, const RunDirectory& directory,
                     StartedContainer& container) {
  if (container.options.network != NetworkMode::kBridge) return;
  container.network = parse_network_state(base::read_file(directory.network_file()));
  Attachment* const publisher = container.network.publisher();
  if (publisher != nullptr && !publisher->endpoint.ports.empty()) {
    PortReservation reservation =
        base::while_doing("driver failed programming external connectivity on endpoint " +
                              container.row.name + " (" + container.row.id + ")",
                          [&] { return reserve_ports(publisher->endpoint.ports); });
    publisher->endpoint.ports = reservation.ports();
    container.ports = std::move(reservation);
    base::write_file(directory.network_file(), render_network_state(container.network), 0600);
  }
  for (const Attachment& attachment : container.network.attachments) {
    if (!attachment.cni.empty()) continue;
    base::TraceStep step("engine", "make sure of the bridge " + attachment.link.bridge);
    ensure_bridge(store, config, attachment);
  }
}

runtime::RootOverlay make_overlay(storage::Store& store, const storage::ContainerRow& row) {
  const storage::ImageRow image = store.load_image(row.image);
  const fs::path folder = store.container_dir(row.id);
  const storage::OverlayPlan plan = storage::plan_overlay(store, image.layer_keys, folder);
  make_writable_layer(folder, plan);
  return {.lower = plan.lower,
          .upper = plan.upper,
          .work = plan.work,
          .syncing = row.auto_remove ? runtime::RootOverlay::Syncing::kVolatile
                                     : runtime::RootOverlay::Syncing::kNormal};
}

}  // namespace

void connect_attachment(Attachment& attachment, int netns_fd) {
  if (attachment.cni.empty()) {
    network::connect(attachment.link, attachment.endpoint, netns_fd);
  } else {
    network::bring_up_loopback(netns_fd);
    add_cni(attachment, netns_fd);
  }
}

void disconnect_attachment(const Attachment& attachment, int netns_fd) {
  if (attachment.cni.empty()) {
    network::disconnect(attachment.endpoint, netns_fd);
  } else {
    delete_cni(attachment, netns_fd);
  }
}

void unpublish_ports(const NetworkState& state) {
  for (const Attachment& attachment : state.attachments) {
    if (!attachment.endpoint.ports.empty()) {
      attachment.unpublish(attachment.endpoint);
    }
  }
}

StartedContainer create_from_bundle(storage::Store& store, const Config& config,
                                    const RunDirectory& directory, const std::string& id,
                                    const runtime::HostView* host) {
  StartedContainer container{.row = load_row(store, id),
                             .options = {},
                             .network = {},
                             .ports = {},
                             .process = {},
                             .in = {},
                             .out = {},
                             .err = {}};
  container.options = parse_options(container.row.options);
  const oci::RuntimeSpec spec =
      oci::parse_runtime_spec(base::read_file(directory.path() / "config.json"));
  runtime::CreateOptions options{.id = id,
                                 .bundle = directory.path(),
                                 .state_dir = directory.runtime(),
                                 .stdio = {},
                                 .overlay = make_overlay(store, container.row),
                                 .cgroup_parent = config.cgroup_parent,
                                 .cache_dir = seccomp_cache(config),
                                 .configure_network = {},
                                 .host = host};
  reserve_network(store, config, directory, container);
  const Streams theirs = make_streams(container);
  options.stdio = {.in = theirs.in.get(), .out = theirs.out.get(), .err = theirs.err.get()};
  options.configure_network = [&](pid_t, int netns_fd) {
    base::TraceStep step("engine", "configure the network");
    if (container.network.attachments.empty()) network::bring_up_loopback(netns_fd);
    for (Attachment& attachment : container.network.attachments) {
      connect_attachment(attachment, netns_fd);
    }
  };
  {
    base::TraceStep step("engine", "create the container from its bundle");
    container.process = runtime::create(spec, options);
  }
  base::Cleanup undo([&] { static_cast<void>(tear_down(directory)); });
  if (const Attachment* publisher = container.network.publisher();
      publisher != nullptr && !publisher->endpoint.ports.empty()) {
    base::TraceStep step("engine", "publish ports");
    publisher->publish(publisher->endpoint);
  }
  undo.dismiss();
  return container;
}

bool tear_down(const RunDirectory& directory) noexcept {
  bool complete = true;
  try {
    const auto text = base::find_file(directory.network_file());
    const NetworkState state = parse_network_state(text.value_or(""));
    unpublish_ports(state);
    disconnect_sharers(directory, state);
    for (const Attachment& attachment : state.attachments) {
      if (!attachment.cni.empty()) delete_cni(attachment, -1);  // its namespace has gone
    }
  } catch (const base::Error& error) {
    // A file cut short by a crash (kInvalid) was written before anything was published.
    complete = error.kind() == base::ErrorKind::kInvalid;
  } catch (const std::exception&) {
    complete = false;
  }
  try {
    runtime::remove(directory.runtime(), runtime::RemoveMode::kForced);
  } catch (const std::exception&) {
    complete = false;
  }
  return complete;
}

}  // namespace engine
