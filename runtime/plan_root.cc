#include <linux/mount.h>

#include "base/error.h"
#include "runtime/mount_options.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

constexpr std::size_t kLongestOption = 255;  // of one fsconfig(2) string
constexpr std::size_t kClassicData = 4095;   // of mount(2)
constexpr char kOpenToAll[] = "/usr";        // every host has it, and no later step wants it
constexpr int kFirstLayerFd = 200;           // above what a small process has open
constexpr std::uint64_t kAllReadOnly = MOUNT_ATTR_RDONLY;

// Layers come from anybody: one must not redirect a name to another or stand in for its data, and
// an index would tie the writable directory to just these layers.
constexpr std::pair<const char*, const char*> kSafety[] = {
    {"index", "off"}, {"metacopy", "off"}, {"redirect_dir", "nofollow"}};

bool is_volatile(const RootOverlay& overlay) {
  return overlay.syncing == RootOverlay::Syncing::kVolatile && !overlay.upper.empty();
}

bool fits_options(const RootOverlay& overlay) {
  for (const fs::path& layer : overlay.lower) {
    if (layer.native().size() > kLongestOption) return false;
  }
  return overlay.upper.native().size() <= kLongestOption &&
         overlay.work.native().size() <= kLongestOption;
}

Step plan_overlay(const RootOverlay& overlay) {
  Step step{.kind = StepKind::kRootOverlay};
  const auto add = [&](const char* key, const std::string& value) {
    step.words.emplace_back(key);
    step.words.push_back(value);
  };
  add("source", "overlay");
  for (const fs::path& layer : overlay.lower) add("lowerdir+", layer);
  if (!overlay.upper.empty()) {
    add("upperdir", overlay.upper);
    add("workdir", overlay.work);
  } else {
    step.attr_set = kAllReadOnly;
  }
  for (const auto& [key, value] : kSafety) add(key, value);
  if (is_volatile(overlay)) add("volatile", "");
  return step;
}

Step plan_classic_overlay(const RootOverlay& overlay) {
  Step step{.kind = StepKind::kRootOverlayClassic};
  step.number = kFirstLayerFd;
  const auto add = [&](const fs::path& path) {
    step.words.push_back(path);
    return "/proc/self/fd/" + std::to_string(kFirstLayerFd + step.words.size() - 1);
  };
  std::string& data = step.source;
  for (const fs::path& layer : overlay.lower)
    data += (data.empty() ? "lowerdir=" : ":") + add(layer);
  if (!overlay.upper.empty()) {
    data += ",upperdir=" + add(overlay.upper);
    data += ",workdir=" + add(overlay.work);
  } else {
    step.flags |= kReadOnlyRoot;
  }
  for (const auto& [key, value] : kSafety) data += std::string(",") + key + "=" + value;
  if (is_volatile(overlay)) data += ",volatile";
  if (data.size() > kClassicData) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      std::to_string(overlay.lower.size()) +
                          " layers: this kernel's overlay takes no more than about 200");
  }
  return step;
}

Step plan_bind(const fs::path& directory, bool readonly) {
  Step step{.kind = StepKind::kRootBind};
  step.source = directory;
  step.target = directory;
  // What is mounted below must not be shared with the host: the container mounts and unmounts
  // there.
  step.recursive_propagation = MS_PRIVATE;
  if (readonly) step.attr_set = kAllReadOnly;
  return step;
}

}  // namespace

void plan_root(const oci::RuntimeSpec& spec, const CreateOptions& options, const HostFacts& host,
               Plan& plan) {
  if (!options.overlay) {
    const fs::path root = (options.bundle / spec.root.path).lexically_normal();
    plan.steps.push_back(plan_bind(root, false));
    return;
  }
  const RootOverlay& overlay = *options.overlay;
  if (overlay.lower.empty()) {
    throw base::Error(base::ErrorKind::kInvalid, "an image without layers has no root");
  }
  if (overlay.upper.empty() != overlay.work.empty()) {
    throw base::Error(base::ErrorKind::kInvalid, "overlay: upper and work come together");
  }
  // The layers' files belong to the container's users as its image numbers them.
  // Only root may map them; anybody else mounts the overlay as root of its user namespace.
  const bool may_map = is_privileged(host);
  const IdMap ids = may_map ? container_id_map(spec, false) : IdMap();
  Step step;
  if (overlay.lower.size() == 1 && overlay.upper.empty()) {
    step = plan_bind(overlay.lower.front(), true);  // overlay needs two
    step.id_map = ids;
  } else if (host.overlay_takes_single_layers && fits_options(overlay)) {
    step = plan_overlay(overlay);
    step.id_map = ids;
    if (!may_map) step.words.insert(step.words.end(), {"userxattr", ""});
  } else if (!ids.empty()) {
    throw base::Error(base::ErrorKind::kUnsupported,
                      "linux.namespaces: a user namespace over image layers needs kernel 6.8 and "
                      "paths of at most 255 bytes");
  } else {
    step = plan_classic_overlay(overlay);
  }
  // Somewhere to hang it until the pivot; only the child's own mount namespace sees it there. Root
  // of a user namespace may not look into every folder.
  step.target = ids.empty() ? options.state_dir.string() : kOpenToAll;
  plan.steps.push_back(std::move(step));
}

}  // namespace runtime
