#include <algorithm>

#include "base/error.h"
#include "engine/bundle.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/host_facts.h"
#include "engine/mount_plan.h"
#include "engine/network_attach.h"
#include "engine/spec.h"
#include "engine/volumes.h"
#include "network/bridge.h"
#include "runtime/container.h"

namespace engine {
namespace {

// Stands for what only a real start chooses.
constexpr char kExampleId[] = "0000000000000000000000000000000000000000000000000000000000000000";

void add_steps(std::string& text, const char* title, const std::vector<network::Step>& steps) {
  if (steps.empty()) return;
  text += std::string(title) + "\n";
  for (const network::Step& step : steps) text += "  " + step.text + "\n";
}

std::string explain_layers(storage::Store& store, const storage::ImageRow& image,
                           const storage::OverlayPlan& overlay) {
  std::string text = "image " + image.id.str() + "\nlayers, bottom first\n";
  for (std::size_t i = 0; i < image.layers.size(); ++i) {
    text +=
        "  " + image.layers[i].str() + "  " + store.layer_dir(image.layer_keys[i]).string() + "\n";
  }
  text +=
      "writable layer\n  " + overlay.upper.string() + "\n  work " + overlay.work.string() + "\n";
  return text;
}

void append(std::vector<network::Step>& steps, const std::vector<network::Step>& more) {
  steps.insert(steps.end(), more.begin(), more.end());
}

void add_plan(network::NetworkPlan& plan, const network::NetworkPlan& more) {
  append(plan.bridge, more.bridge);
  append(plan.endpoint, more.endpoint);
  append(plan.ports, more.ports);
}

// With the first address of each; nothing is made.
NetworkState example_network(storage::Store& store, const Config& config,
                             const ContainerOptions& options) {
  std::vector<AttachmentPlan> plans;
  if (options.networks.empty()) {
    const NetworkSettings settings = parse_network_settings(plan_bridge_row(store, config), config);
    plans.push_back({.attachment = {.network = kBridgeNetwork, .link = settings.link},
                     .leases = plan_leases(kBridgeNetwork, settings, "", "")});
  } else {
    plans = plan_attachments(store, config, options);
  }
  std::vector<std::uint32_t> addresses;
  for (const storage::LeaseRequest& lease : all_leases(plans)) {
    addresses.push_back(lease.wanted.value_or(lease.first + 1));
  }
  return make_network_state(plans, addresses, kExampleId);
}

std::string explain_mount_sources(storage::Store& store, const ContainerOptions& options) {
  std::string text;
  for (const MountOption& mount : options.mounts) {
    if (mount.kind != MountOption::Kind::kVolume) continue;
    const bool exists = store.find_volume(mount.source).has_value();
    text += "  volume " + mount.source + " on " + mount.target +
            (exists ? "" : " (made, and filled from the image)") + "\n";
  }
  return text.empty() ? text : "volumes\n" + text;
}

}  // namespace

std::string Engine::explain(const ContainerOptions& options) {
  storage::Store& store = state_->store;
  const auto image = store.find_image(options.image);
  if (!image) {
    return "pull " + oci::Reference::parse(options.image).str() +
           "\n  the image is not here: it would be pulled first, and the rest depends on it\n";
  }
  BundleInput input{.row = {.id = kExampleId, .image = image->id},
                    .options = options,
                    .image = *image,
                    .image_config = oci::parse_image_config(image->config),
                    .network = {}};
  input.row.name = options.name.empty() ? "<made up>" : options.name;
  load_seccomp_files(input.options.security_opt);
  check_isolation(input.options);
  check_limits(input.options.limits, find_resource_support());
  resolve_shared_namespaces(store, input.options);
  add_volumes_from(store, input.options);
  name_volumes(input.options, input.image_config.volumes);
  input.bind_source =
      BindSource::kOnlyNamed;  // a missing one is made by a real start, and only by that
  const fs::path folder = store.container_dir(kExampleId);
  const storage::OverlayPlan overlay = storage::plan_overlay(store, image->layer_keys, folder);

  std::string text = explain_layers(store, *image, overlay);
  text += explain_mount_sources(store, input.options);
  network::NetworkPlan network;
  if (options.network == NetworkMode::kBridge) {
    input.network = example_network(store, state_->config, input.options);
    set_ports(input.network, input.options, input.image_config, state_->config, store);
    for (const Attachment& attachment : input.network.attachments) {
      add_plan(network, network::plan_endpoint(attachment.link, attachment.endpoint));
      text += "network " + attachment.link.bridge + ", " + attachment.link.subnet.str() +
              ", gateway " + attachment.link.gateway.str() + "\n";
    }
  } else {
    text += options.network == NetworkMode::kHost        ? "network of the host\n"
            : options.network == NetworkMode::kContainer ? "network of another container\n"
                                                         : "network: its own, with loopback only\n";
  }
  add_steps(text, "bridge, where missing", network.bridge);
  add_steps(text, "network of the container", network.endpoint);
  add_steps(text, "published ports", network.ports);

  const RunDirectory directory = state_->directory_of(kExampleId);
  const oci::RuntimeSpec spec =
      make_spec(store, state_->config, directory, input, EtcFiles::kBound);
  runtime::CreateOptions create{.id = kExampleId,
                                .bundle = directory.path(),
                                .state_dir = directory.runtime(),
                                .stdio = {},
                                .overlay = runtime::RootOverlay{.lower = overlay.lower,
                                                                .upper = overlay.upper,
                                                                .work = overlay.work},
                                .cgroup_parent = state_->config.cgroup_parent,
                                .configure_network = {}};
  text += "runtime\n" + runtime::explain(spec, create);
  if (!text.ends_with('\n')) text += '\n';
  return text;
}

}  // namespace engine
