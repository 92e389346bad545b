#include <charconv>
#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/text.h"
#include "base/trace.h"
#include "engine/archives.h"
#include "engine/bundle.h"
#include "engine/engine.h"
#include "engine/engine_state.h"
#include "engine/host_facts.h"
#include "engine/log_plan.h"
#include "engine/mount_plan.h"
#include "engine/names.h"
#include "engine/network_attach.h"
#include "engine/process_plan.h"
#include "engine/pull_command.h"
#include "engine/security_plan.h"
#include "engine/signals.h"
#include "engine/spec.h"
#include "engine/volumes.h"
#include "oci/platform.h"
#include "storage/indexes.h"

namespace engine {
namespace {

constexpr int kNameAttempts = 10;
constexpr int kLockSeconds = 30;  // another command may look at the new directory for a moment

bool fits_platform(const storage::ImageRow& image, const std::string& platform) {
  return platform.empty() || storage::is_for_platform(image, oci::Platform::parse(platform));
}

// An image that lies in an archive, a layout or a directory.
storage::ImageRow resolve_source(Engine& engine, const oci::Transport& source,
                                 const ContainerOptions& options,
                                 const std::function<void(const PullProgress&)>& on_progress) {
  std::optional<storage::ImageRow> image;
  if (options.pull != PullPolicy::kAlways) {
    image = find_known_image(engine.store(), source, options.platform);
  }
  if (image && fits_platform(*image, options.platform)) return *image;
  if (options.pull == PullPolicy::kNever) {
    throw base::Error(base::ErrorKind::kNotFound, "No such image: " + options.image);
  }
  const PullSummary summary = engine.pull(options.image, options.platform, on_progress);
  return engine.store().load_image(oci::ImageId::parse(summary.image_id));
}

storage::ImageRow resolve_image(Engine& engine, const ContainerOptions& options,
                                const std::function<void(const PullProgress&)>& on_progress) {
  if (const auto source = oci::find_transport(options.image)) {
    return resolve_source(engine, *source, options, on_progress);
  }
  std::optional<storage::ImageRow> image;
  if (options.pull != PullPolicy::kAlways) image = engine.store().find_image(options.image);
  if (image && fits_platform(*image, options.platform)) return *image;
  if (image && !options.platform.empty()) {
    const auto wanted = oci::Platform::parse(options.platform);
    if (auto other = storage::find_image_for(engine.store(), options.image, wanted)) return *other;
  }
  const std::string name = [&] {
    return image ? options.image : oci::Reference::parse(options.image).familiar();
  }();
  if (options.pull == PullPolicy::kNever && image) {
    throw base::Error(
        base::ErrorKind::kNotFound,
        "image with reference " + name +
            " was found but does not match the specified platform: wanted " +
            oci::normalize(oci::Platform::parse(options.platform)).str() +
            ", actual: " + oci::normalize(oci::parse_image_config(image->config).platform).str());
  }
  if (options.pull == PullPolicy::kMissing && on_progress) {
    on_progress({.kind = "missing", .layer = {}, .text = name});
  }
  PullWhen when = PullWhen::kAlways;
  if (options.pull == PullPolicy::kMissing && !image) when = PullWhen::kMissing;
  if (options.pull == PullPolicy::kNever) when = PullWhen::kNever;
  const PullSummary summary =
      pull_image(engine.config(), options.image, options.platform, when, on_progress);
  return engine.store().load_image(oci::ImageId::parse(summary.image_id));
}

void warn_of_platform(const oci::ImageConfig& image, const ContainerOptions& options,
                      const std::function<void(const PullProgress&)>& on_progress) {
  if (!on_progress || !options.platform.empty() || image.platform.architecture.empty()) return;
  const oci::Platform host = oci::Platform::of_host();
  for (const oci::Platform& runnable : oci::preferences_of(host)) {
    if (oci::normalize(runnable) == oci::normalize(image.platform)) return;
  }
  on_progress({.kind = "warning",
               .layer = {},
               .text = "The requested image's platform (" + image.platform.str() +
                       ") does not match the detected host platform (" + host.str() +
                       ") and no specific platform was requested"});
}

// Most containers have no limits and need not look at what the kernel can do.
std::vector<std::string> check_limits_of(ContainerOptions& options) {
  if (options.limits == ResourceLimits{}) return {};
  return check_limits(options.limits, find_resource_support());
}

// A path of the host's is never changed on its way through JSON.
void check_host_path(const std::string& path) {
  if (base::is_utf8(path)) return;
  throw base::Error(base::ErrorKind::kInvalid,
                    "invalid path of the host: '" + base::printable(path) + "' is not UTF-8");
}

// What can be refused before anything is written.
void check_options(const ContainerOptions& options, const oci::ImageConfig& image) {
  if (!options.name.empty()) parse_container_name(options.name);
  if (!options.stop_signal.empty()) parse_signal(options.stop_signal);
  plan_arguments(image, options);
  plan_working_dir(image, options);
  parse_security_options(options.security_opt);
  plan_sysctls(options);
  check_isolation(options);
  plan_ports(options, image.exposed_ports);
  for (const MountOption& mount : options.mounts) {
    check_host_path(mount.source);
    clean_destination(mount.target);
    check_volume_options(mount.source, mount.volume_options);
  }
  for (const std::string& device : options.devices) {
    check_host_path(device);
    parse_device_option(device);
  }
  if (options.auto_remove && options.restart.policy != RestartPolicy::kNo) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "conflicting options: cannot specify both --restart and --rm");
  }
  if (options.health_on_failure != HealthAction::kNone &&
      !is_health_checked(merge_health(image.health_check, options.health))) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "cannot set --health-on-failure without a health check");
  }
  check_log_driver(plan_log(options, {}));
}

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

std::string merge_labels(const oci::ImageConfig& image, const ContainerOptions& options) {
  std::map<std::string, std::string> labels = options.labels;
  labels.insert(image.labels.begin(), image.labels.end());  // those that the user has not set
  return render_labels(labels);
}

std::uint64_t number_of(const std::string& id) {
  std::uint64_t number = 0;
  std::from_chars(id.data(), id.data() + 16, number, 16);
  return number;
}

// Inserts the row under the user's name, or under made-up ones until one is free.
std::vector<std::uint32_t> insert_row(storage::Store& store, storage::ContainerRow& row,
                                      const std::vector<storage::LeaseRequest>& leases) {
  if (!row.name.empty()) return store.add_container_on(row, leases);
  for (int attempt = 0;; ++attempt) {
    row.name = plan_name(number_of(row.id), attempt);
    try {
      return store.add_container_on(row, leases);
    } catch (const base::Error& error) {
      if (error.kind() != base::ErrorKind::kConflict || attempt == kNameAttempts) throw;
    }
  }
}

}  // namespace

std::string Engine::create(const ContainerOptions& given,
                           const std::function<void(const PullProgress&)>& on_progress,
                           Purpose purpose) {
  storage::ImageRow image = resolve_image(*this, given, on_progress);
  PreparedStart prepared{.input = {.row = {.id = base::random_hex(32), .image = image.id},
                                   .options = given,
                                   .image = image,
                                   .image_config = oci::parse_image_config(image.config),
                                   .network = {}},
                         .lock = {}};
  BundleInput& input = prepared.input;
  warn_of_platform(input.image_config, given, on_progress);
  check_options(given, input.image_config);
  load_seccomp_files(input.options.security_opt);
  std::vector<std::string> warnings = check_limits_of(input.options);
  for (std::string& warning : warn_of_security(given.security_opt)) {
    warnings.push_back(std::move(warning));
  }
  for (const std::string& warning : warnings) {
    if (on_progress) on_progress({.kind = "warning", .layer = {}, .text = warning});
  }
  resolve_shared_namespaces(state_->store, input.options);
  add_volumes_from(state_->store, input.options);
  name_volumes(input.options, input.image_config.volumes);
  input.options.health = merge_health(input.image_config.health_check, given.health);
  for (const std::string& word : input.image_config.shell) {
    input.options.health_shell += (input.options.health_shell.empty() ? "" : "\n") + word;
  }
  if (input.options.stop_signal.empty()) input.options.stop_signal = input.image_config.stop_signal;

  storage::ContainerRow& row = input.row;
  if (!given.name.empty()) row.name = parse_container_name(given.name);
  row.image_name = given.image;
  row.command = join(plan_arguments(input.image_config, given));
  resolve_networks(state_->store, state_->config, input.options);
  row.created = base::now();
  row.auto_remove = given.auto_remove;
  row.options = render_options(input.options);
  row.labels = merge_labels(input.image_config, given);
  if (purpose == Purpose::kStart) {
    // First the lock, then the row: a row of --rm with a free lock is a killed command's.
    prepared.lock = state_->lock_stopped(row, kLockSeconds).value();
  }
  {
    base::TraceStep step("engine", "add the container's row and address");
    const auto plans = plan_attachments(state_->store, state_->config, input.options);
    const auto addresses = insert_row(state_->store, row, all_leases(plans));
    input.network = make_network_state(plans, addresses, row.id);
  }
  try {
    make_volumes(state_->store, input.options,
                 open_tree(state_->store, image, state_->store.container_dir(row.id)));
  } catch (const base::Error&) {
    state_->remove_stopped(row, RemoveVolumes::kYes);
    throw;
  }
  const std::string id = row.id;
  if (purpose == Purpose::kStart) state_->prepared.emplace(std::move(prepared));
  return id;
}

}  // namespace engine
