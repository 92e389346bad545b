#include "registry/resolver.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/error.h"
#include "base/text.h"
#include "base/trace.h"
#include "oci/image_config.h"
#include "registry/blob_download.h"
#include "registry/manifest_source.h"

namespace registry {
namespace {

// Indexes may refer to indexes (image-spec, image-index.md); a small one can fan out for ever.
constexpr int kMaxDepth = 4;
constexpr std::size_t kMaxDescriptors = 10'000;
constexpr int kMaxFetches = 64;

struct Candidate {
  FetchedManifest fetched;
  std::string config_bytes;
  oci::ImageConfig config;

  const oci::Manifest& manifest() const { return std::get<oci::Manifest>(fetched.content); }
};

bool is_index_type(const std::string& type) {
  return type == oci::kOciIndex || type == oci::kDockerList;
}

bool is_manifest_type(const std::string& type) {
  return type == oci::kOciManifest || type == oci::kDockerManifest;
}

bool runs_on(const oci::Platform& image, const oci::Platform& wanted) {
  const auto preferences = oci::preferences_of(wanted);
  return std::find(preferences.begin(), preferences.end(), oci::normalize(image)) !=
         preferences.end();
}

// Images made before multi-platform registries may leave it out.
bool says_platform(const oci::Platform& platform) { return !platform.architecture.empty(); }

class Resolver {
 public:
  Resolver(Session& session, const oci::Reference& reference, const oci::Platform& platform)
      : session_(session),
        reference_(reference),
        platform_(platform),
        source_(session, reference) {}

  ResolvedImage resolve(Client::PlatformChoice choice) {
    FetchedManifest top = source_.load_top();
    const oci::Digest top_digest = top.digest;
    std::optional<std::string> index_bytes;
    std::optional<Candidate> found;
    if (std::holds_alternative<oci::Index>(top.content)) {
      index_bytes = top.bytes;
      visited_.insert(top.digest.hex());
      found = find_in(std::get<oci::Index>(top.content), 1);
      if (!found) {
        throw base::Error(base::ErrorKind::kNotFound,
                          reference_.familiar() + ": no matching manifest for " + platform_.str() +
                              " in the manifest list entries");
      }
    } else {
      found = complete(std::move(top));
      check_single(found->config.platform, choice);
    }
    check_usable(*found);
    oci::Manifest manifest = found->manifest();
    return {.reference = reference_,
            .top_digest = top_digest,
            .manifest_digest = found->fetched.digest,
            .manifest_bytes = std::move(found->fetched.bytes),
            .manifest = std::move(manifest),
            .config_bytes = std::move(found->config_bytes),
            .index_bytes = std::move(index_bytes),
            .inner_indexes = std::move(inner_indexes_),
            .warnings = std::move(warnings_)};
  }

 private:
  // Depth first. What says that it fits comes before what says nothing.
  std::optional<Candidate> find_in(const oci::Index& index, int depth) {
    descriptors_ += index.manifests.size();
    if (descriptors_ > kMaxDescriptors) throw_too_much("descriptors");
    oci::Index labelled{.media_type = index.media_type, .manifests = {}, .annotations = {}};
    for (const oci::Descriptor& entry : index.manifests) {
      const bool is_known = is_index_type(entry.media_type) || is_manifest_type(entry.media_type);
      if (entry.platform && is_known) labelled.manifests.push_back(entry);
    }
    while (const auto entry = oci::find_platform(labelled, platform_)) {
      if (auto found = follow(*entry, depth)) return found;
      std::erase_if(labelled.manifests,
                    [&](const oci::Descriptor& other) { return other.digest == entry->digest; });
    }
    for (const oci::Descriptor& entry : index.manifests) {
      const bool is_known = is_index_type(entry.media_type) || is_manifest_type(entry.media_type);
      if (entry.platform || !is_known) continue;
      if (auto found = follow(entry, depth)) return found;
    }
    return std::nullopt;
  }

  std::optional<Candidate> follow(const oci::Descriptor& entry, int depth) {
    // Once is enough: where it was seen before, nothing in it did fit.
    if (!visited_.insert(entry.digest.hex()).second) return std::nullopt;
    if (is_index_type(entry.media_type) && depth >= kMaxDepth) {
      base::trace("registry", "index " + entry.digest.str() + " is nested too deep");
      return std::nullopt;
    }
    if (++fetches_ > kMaxFetches) throw_too_much("manifests");
    FetchedManifest fetched = source_.load(entry);
    if (std::holds_alternative<oci::Index>(fetched.content)) {
      if (depth >= kMaxDepth) return std::nullopt;
      inner_indexes_.push_back(fetched.bytes);
      auto found = find_in(std::get<oci::Index>(fetched.content), depth + 1);
      if (!found) inner_indexes_.pop_back();
      return found;
    }
    if (entry.platform) return complete(std::move(fetched));
    // Signatures and attestations lie beside images; they are no candidates.
    const oci::Manifest& manifest = std::get<oci::Manifest>(fetched.content);
    if (!oci::is_runnable_config(manifest.config.media_type)) return std::nullopt;
    Candidate candidate = complete(std::move(fetched));
    // Without a label the config decides.
    if (!runs_on(candidate.config.platform, platform_)) return std::nullopt;
    return candidate;
  }

  Candidate complete(FetchedManifest fetched) {
    const auto& manifest = std::get<oci::Manifest>(fetched.content);
    const std::string& type = manifest.config.media_type;
    if (!oci::is_runnable_config(type)) {
      const std::string what = manifest.artifact_type.empty() ? type : manifest.artifact_type;
      throw base::Error(base::ErrorKind::kUnsupported,
                        reference_.familiar() + " is an artifact of type \"" +
                            base::printable(what) +
                            "\", no image that can be run: \"sampan manifest inspect\" shows it, "
                            "oras and skopeo copy it");
    }
    return base::while_doing("config of " + reference_.familiar(), [&]() -> Candidate {
      std::string bytes =
          load_blob(session_, source_.repository(), manifest.config, oci::kMaxConfigBytes);
      oci::ImageConfig config = oci::parse_image_config(bytes);
      return {.fetched = std::move(fetched),
              .config_bytes = std::move(bytes),
              .config = std::move(config)};
    });
  }

  void check_single(const oci::Platform& actual, Client::PlatformChoice choice) {
    if (!says_platform(actual) || runs_on(actual, platform_)) return;
    if (choice == Client::PlatformChoice::kExplicit) {
      throw base::Error(base::ErrorKind::kNotFound,
                        "image with reference " + reference_.familiar() +
                            " was found but does not match the specified platform: wanted " +
                            platform_.str() + ", actual: " + base::printable(actual.str()));
    }
    warnings_.push_back("the image's platform (" + base::printable(actual.str()) +
                        ") does not match the host's platform (" + platform_.str() +
                        ") and no specific platform was requested");
  }

  void check_usable(const Candidate& candidate) const {
    const std::string& system = candidate.config.platform.os;
    if (!system.empty() && system != "linux") {
      throw base::Error(base::ErrorKind::kUnsupported, "image operating system \"" +
                                                           base::printable(system) +
                                                           "\" cannot be used on this platform");
    }
    const std::size_t layers = candidate.manifest().layers.size();
    const std::size_t diff_ids = candidate.config.diff_ids.size();
    if (layers != diff_ids) {
      throw base::Error(base::ErrorKind::kInvalid,
                        reference_.familiar() + ": its manifest has " + std::to_string(layers) +
                            " layers, its config " + std::to_string(diff_ids));
    }
    for (const oci::Descriptor& layer : candidate.manifest().layers) {
      const std::string& type = layer.media_type;
      if (is_index_type(type) || is_manifest_type(type) || oci::is_runnable_config(type)) {
        throw base::Error(base::ErrorKind::kInvalid, reference_.familiar() + ": layer " +
                                                         layer.digest.str() + " is of type " +
                                                         base::printable(type));
      }
    }
  }

  [[noreturn]] void throw_too_much(const std::string& what) const {
    throw base::Error(base::ErrorKind::kInvalid,
                      reference_.familiar() + ": its index leads to too many " + what);
  }

  Session& session_;
  const oci::Reference& reference_;
  const oci::Platform& platform_;
  ManifestSource source_;
  std::set<std::string> visited_;
  std::vector<std::string> inner_indexes_;  // on the way to where we are
  std::size_t descriptors_ = 0;
  int fetches_ = 0;
  std::vector<std::string> warnings_;
};

}  // namespace

ResolvedImage resolve_image(Session& session, const oci::Reference& reference,
                            const oci::Platform& platform, Client::PlatformChoice choice) {
  ResolvedImage image = Resolver(session, reference, platform).resolve(choice);
  for (std::string& warning : session.take_warnings()) image.warnings.push_back(std::move(warning));
  return image;
}

}  // namespace registry
