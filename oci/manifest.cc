#include "oci/manifest.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/letter_case.h"
#include "base/text.h"
#include "oci/descriptor.h"
#include "oci/json_value.h"

namespace oci {
namespace {

enum class Shape { kUnknown, kManifest, kIndex };

[[noreturn]] void refuse(const std::string& reason) {
  throw base::Error(base::ErrorKind::kInvalid, reason);
}

// "Application/JSON ; charset=utf-8" is application/json (RFC 9110, section 8.3.1).
std::string bare_media_type(std::string_view text) {
  text = text.substr(0, text.find(';'));
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return base::lower_case(std::string(text));
}

// What servers that know nothing of manifests say of them.
bool says_nothing(std::string_view media_type) {
  return media_type.empty() || media_type == "application/json" || media_type == "text/plain" ||
         media_type == "application/octet-stream" || media_type == "binary/octet-stream";
}

bool is_schema1(std::string_view media_type) {
  return media_type.starts_with("application/vnd.docker.distribution.manifest.v1+");
}

[[noreturn]] void refuse_schema1() {
  refuse(
      "manifest is of Docker's schema 1, which is obsolete and not supported; push the image "
      "again with a current client");
}

Shape shape_of(std::string_view media_type) {
  if (media_type == kOciManifest || media_type == kDockerManifest) return Shape::kManifest;
  if (media_type == kOciIndex || media_type == kDockerList) return Shape::kIndex;
  return Shape::kUnknown;
}

// The one media type that header and body agree upon (CVE-2021-41190).
std::string agreed_media_type(const JsonValue& body, std::string_view content_type) {
  const std::string outside = bare_media_type(content_type);
  std::string inside;
  body["mediaType"].read(inside);
  if (is_schema1(outside) || is_schema1(inside)) refuse_schema1();
  if (says_nothing(outside)) return inside;
  if (!inside.empty() && inside != outside) {
    refuse("manifest says it is \"" + base::printable(inside) + "\" but was served as \"" +
           base::printable(outside) + "\"");
  }
  return outside;
}

// What the members say it is; a manifest that can be read both ways is refused.
Shape shape_of(const JsonValue& body) {
  const bool is_index = body.contains("manifests");
  const bool is_manifest = body.contains("layers") || body.contains("config");
  if (is_index && is_manifest)
    refuse("manifest has both \"manifests\" and \"layers\" or \"config\"");
  if (is_index) return Shape::kIndex;
  return is_manifest ? Shape::kManifest : Shape::kUnknown;
}

void check_schema(const JsonValue& body) {
  if (body.contains("fsLayers")) refuse_schema1();
  const JsonValue version = body["schemaVersion"];
  if (!version.exists()) return;  // required, but harmless to miss
  const auto number = version.integer<int>();
  if (number == 1) refuse_schema1();
  if (number != 2) version.fail("must be 2, not " + std::to_string(number));
}

Manifest parse_single(const JsonValue& body, std::string media_type) {
  Manifest manifest{.media_type = std::move(media_type),
                    .artifact_type = {},
                    .config = parse_descriptor(body["config"]),
                    .layers = {},
                    .subject = {},
                    .annotations = {}};
  body["artifactType"].read(manifest.artifact_type);
  body["annotations"].read(manifest.annotations);
  const std::vector<JsonValue> layers = body["layers"].elements();
  if (layers.size() > kMaxLayers) {
    body["layers"].fail(std::to_string(layers.size()) + " layers are more than " +
                        std::to_string(kMaxLayers));
  }
  std::uint64_t total = manifest.config.size;
  for (const JsonValue& layer : layers) {
    manifest.layers.push_back(parse_descriptor(layer));
    total += manifest.layers.back().size;  // both below 2^63
    if (total > std::numeric_limits<std::int64_t>::max()) layer.fail("sizes add up to over 2^63");
  }
  if (body["subject"].exists()) manifest.subject = find_descriptor(body["subject"]);
  return manifest;
}

Index parse_index(const JsonValue& body, std::string media_type) {
  Index index{.media_type = std::move(media_type), .manifests = {}, .annotations = {}};
  body["annotations"].read(index.annotations);
  for (const JsonValue& entry : body["manifests"].elements()) {
    // An entry under a digest algorithm that this build does not have can't be fetched by anybody.
    if (auto descriptor = find_descriptor(entry)) index.manifests.push_back(std::move(*descriptor));
  }
  return index;
}

bool is_attestation(const Descriptor& entry) {
  const auto type = entry.annotations.find("vnd.docker.reference.type");
  return type != entry.annotations.end() && type->second == "attestation-manifest";
}

}  // namespace

std::variant<Manifest, Index> parse_manifest(std::string_view body, std::string_view content_type) {
  return base::while_doing("manifest", [&]() -> std::variant<Manifest, Index> {
    const JsonDocument document(body, {.bytes = kMaxManifestBytes, .depth = 64});
    const JsonValue root = document.root();
    const Shape shape = shape_of(root);
    std::string media_type = agreed_media_type(root, content_type);
    check_schema(root);
    if (shape == Shape::kUnknown) refuse("has neither \"manifests\" nor \"layers\" and \"config\"");
    if (media_type.empty()) media_type = shape == Shape::kIndex ? kOciIndex : kOciManifest;
    const Shape promised = shape_of(media_type);
    if (promised == Shape::kUnknown) {
      refuse("unsupported media type \"" + base::printable(media_type) + "\"");
    }
    if (promised != shape) {
      refuse("does not look like the \"" + media_type + "\" that it is said to be");
    }
    if (shape == Shape::kIndex) return parse_index(root, std::move(media_type));
    return parse_single(root, std::move(media_type));
  });
}

std::optional<Descriptor> find_platform(const Index& index, const Platform& wanted) {
  const std::vector<Platform> preferences = preferences_of(wanted);
  const Descriptor* best = nullptr;
  std::size_t best_rank = preferences.size() + 1;
  for (const Descriptor& entry : index.manifests) {
    if (shape_of(entry.media_type) == Shape::kUnknown || is_attestation(entry)) continue;
    std::size_t rank = preferences.size();  // without a platform: better than nothing
    if (entry.platform) {
      const auto match = std::find(preferences.begin(), preferences.end(), *entry.platform);
      if (match == preferences.end()) continue;
      rank = static_cast<std::size_t>(match - preferences.begin());
    } else if (!entry.artifact_type.empty()) {
      continue;  // a signature or the like
    }
    if (rank < best_rank) {
      best = &entry;
      best_rank = rank;
    }
  }
  return best == nullptr ? std::nullopt : std::optional(*best);
}

bool is_runnable_config(std::string_view media_type) {
  return media_type == kOciConfig || media_type == kDockerConfig;
}

}  // namespace oci
