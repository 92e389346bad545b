#include "engine/bundle.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/change_source.h"
#include "engine/etc_files.h"
#include "engine/host_facts.h"
#include "engine/links.h"
#include "engine/network_attach.h"
#include "engine/shared_network.h"
#include "engine/spec.h"
#include "engine/tree_copy.h"
#include "engine/volumes.h"

namespace engine {
namespace {

// /etc/passwd of an image may be a FIFO, a link to the host's, or 10 GB of zeros (CVE-2026-47262):
// ImageTree reads regular files below the image's own root only, up to this size.
constexpr std::size_t kMaxUserFile = 10U << 20U;

UserFiles read_user_files(const ImageTree& tree) {
  return {.passwd = tree.find_file("/etc/passwd", kMaxUserFile).value_or(""),
          .group = tree.find_file("/etc/group", kMaxUserFile).value_or("")};
}

void make_directory(const fs::path& path, mode_t mode) {
  if (mkdir(path.c_str(), mode) != 0 && errno != EEXIST) base::throw_errno(path.string());
}

fs::path init_program(const Config& config) {
  fs::path path =
      config.init_helper.empty() ? program_beside_us("sampan-init") : config.init_helper;
  if (access(path.c_str(), X_OK) != 0) base::throw_errno("--init: " + path.string());
  return path;
}

std::string cgroup_of(const Config& config, const BundleInput& input) {
  std::string parent = input.options.cgroup_parent;
  if (parent.empty()) parent = config.cgroup_parent;
  while (parent.size() > 1 && parent.back() == '/') parent.pop_back();
  return (parent.starts_with('/') ? "" : "/") + parent + "/" + input.row.id;
}

std::string host_name() {
  struct utsname name = {};
  uname(&name);
  return name.nodename;
}

HostsInput hosts_input(const BundleInput& input, const std::string& hostname) {
  HostsInput hosts;
  hosts.hostname = hostname;
  hosts.domainname = input.options.domainname;
  for (const Attachment& attachment : input.network.attachments) {
    const network::Endpoint& endpoint = attachment.endpoint;
    if (endpoint.address.bits != 0) hosts.addresses.push_back(endpoint.address.str());
    if (endpoint.address6) hosts.addresses.push_back(endpoint.address6->str());
    if (hosts.host_gateway.empty()) hosts.host_gateway = attachment.link.gateway.str();
  }
  if (input.options.network == NetworkMode::kHost) {
    hosts.host_file = base::find_file("/etc/hosts", 1U << 20U).value_or("");
    hosts.host_gateway = "127.0.0.1";
  }
  return hosts;
}

}  // namespace

storage::ContainerRow load_row(storage::Store& store, std::string_view name_or_id) {
  auto row = store.find_container(name_or_id);
  if (!row) {
    throw base::Error(base::ErrorKind::kNotFound, "No such container: " + std::string(name_or_id));
  }
  return *row;
}

BundleInput load_bundle_input(storage::Store& store, const storage::ContainerRow& row) {
  storage::ImageRow image = store.load_image(row.image);
  oci::ImageConfig config = oci::parse_image_config(image.config);
  return {.row = row,
          .options = parse_options(row.options),
          .image = std::move(image),
          .image_config = std::move(config),
          .network = {}};
}

ImageTree open_tree(storage::Store& store, const storage::ImageRow& image,
                    const fs::path& container_dir) {
  storage::OverlayPlan plan = storage::plan_overlay(store, image.layer_keys, container_dir);
  std::vector<fs::path> layers = std::move(plan.lower);
  if (!container_dir.empty()) layers.insert(layers.begin(), plan.upper);
  return ImageTree(std::move(layers));
}

oci::RuntimeSpec make_spec(storage::Store& store, const Config& config,
                           const RunDirectory& directory, const BundleInput& input,
                           EtcFiles etc_files) {
  SpecInput spec;
  spec.id = input.row.id;
  spec.image = input.image_config;
  spec.options = input.options;
  spec.user_files =
      read_user_files(open_tree(store, input.image, store.container_dir(input.row.id)));
  spec.mounts.mounts = resolve_mounts(store, input.options, input.bind_source);
  if (etc_files == EtcFiles::kBound) {
    spec.mounts.hosts = directory.path() / "hosts";
    spec.mounts.hostname = directory.path() / "hostname";
    spec.mounts.resolv_conf = directory.path() / "resolv.conf";
    for (const Link& link : find_links(store, input.options)) {
      const std::vector<std::string> lines = link_environment(link, input.row.name);
      spec.link_environment.insert(spec.link_environment.end(), lines.begin(), lines.end());
    }
  }
  if (input.options.init) spec.mounts.init_program = init_program(config);
  spec.host = gather_host_facts(input.options);
  if (input.options.network == NetworkMode::kContainer) {
    spec.network_namespace = shared_network(store, input.options.network_container);
  }
  spec.cgroups_path = cgroup_of(config, input);
  spec.joined = find_joined(store, input.options);
  spec.ids = take_user_mappings(
      store, input.row.id, input.options,
      input.bind_source == BindSource::kNeeded ? SlotUse::kTake : SlotUse::kExample);
  return plan_spec(spec);
}

// Of a container whose network another has, the owner is that one's.
void note_sharers(storage::Store& store, const Config& config, const BundleInput& input) {
  ContainerOptions options = input.options;
  while (options.network == NetworkMode::kContainer) {
    const auto owner = store.find_container(options.network_container);
    if (!owner) return;
    note_sharer(RunDirectory(config.state, owner->id), input.row.id);
    options = parse_options(owner->options);
  }
}

void write_bundle(storage::Store& store, const Config& config, const RunDirectory& directory,
                  const BundleInput& input) {
  base::TraceStep step("engine", "write the bundle " + directory.path().string());
  const oci::RuntimeSpec spec = make_spec(store, config, directory, input, EtcFiles::kBound);
  const fs::path& folder = directory.path();
  base::write_file(folder / "config.json", oci::render_runtime_spec(spec), 0600);
  const std::string hostname = spec.hostname.empty() ? host_name() : spec.hostname;
  base::write_file(folder / "hostname", hostname + "\n");
  HostsInput hosts = hosts_input(input, hostname);
  for (const Link& link : find_links(store, input.options)) {
    hosts.links.push_back(render_link(link));
  }
  base::write_file(folder / "hosts", render_hosts(input.options, hosts));
  base::write_file(folder / "resolv.conf",
                   has_name_server(input.network)
                       ? render_own_resolv_conf(input.options, read_host_resolv_conf())
                       : render_resolv_conf(input.options, read_host_resolv_conf()));
  note_sharers(store, config, input);
  if (!input.network.attachments.empty()) {
    base::write_file(directory.network_file(), render_network_state(input.network), 0600);
  }
}

void write_new_bundle(storage::Store& store, const Config& config, const RunDirectory& directory,
                      BundleInput& input) {
  input.network = lease_networks(store, config, input.options, input.row.id);
  set_ports(input.network, input.options, input.image_config, config, store);
  write_bundle(store, config, directory, input);
}

fs::path seccomp_cache(const Config& config) { return config.state / "seccomp"; }

void make_writable_layer(const fs::path& container_dir, const storage::OverlayPlan& plan) {
  make_directory(container_dir, 0710);
  make_directory(plan.work, 0700);
  if (mkdir(plan.upper.c_str(), 0755) != 0) {
    if (errno == EEXIST) return;
    base::throw_errno(plan.upper.string());
  }
  // The merged root shows the upper directory's attributes, whatever the layers say. Those of the
  // topmost layer are right: where it has no entry for its root, storage has given it those of the
  // layer below.
  const base::UniqueFd lower = base::open_file(plan.lower.front(), O_RDONLY | O_DIRECTORY);
  const base::UniqueFd upper = base::open_file(plan.upper, O_RDONLY | O_DIRECTORY);
  // By this file programs know that they are in a container. It comes
  // before the attributes: one of these is the time of the last change.
  const base::UniqueFd mark(
      openat(upper.get(), kContainerMark + 1, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0755));
  base::check(mark.get(), plan.upper.string() + kContainerMark);
  base::while_doing(plan.upper.string(),
                    [&] { copy_directory_attributes(lower.get(), upper.get()); });
}

}  // namespace engine
