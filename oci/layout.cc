#include "oci/layout.h"

#include <algorithm>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text.h"
#include "oci/json_value.h"

namespace oci {
namespace {

[[noreturn]] void throw_invalid(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

[[noreturn]] void throw_not_found(const std::string& text) {
  throw base::Error(base::ErrorKind::kNotFound, text);
}

std::string annotation_of(const Descriptor& entry, const char* key) {
  const auto found = entry.annotations.find(key);
  return found == entry.annotations.end() ? std::string() : found->second;
}

// What tells the entries of one image from those of another.
std::string group_of(const Descriptor& entry) {
  const std::string name = annotation_of(entry, kImageNameAnnotation);
  return name.empty() ? annotation_of(entry, kRefNameAnnotation) : name;
}

bool is_whole_name(const std::string& text) {
  return text.find_first_of(":/") != std::string::npos;
}

bool is_called(const Descriptor& entry, const std::string& reference) {
  if (annotation_of(entry, kRefNameAnnotation) == reference ||
      annotation_of(entry, kImageNameAnnotation) == reference) {
    return true;
  }
  return is_whole_name(reference) && find_layout_name(entry) == Reference::parse(reference);
}

using Group = std::vector<Descriptor>;

// By name, in the order of the index.
std::vector<Group> group_entries(const Index& index, const LayoutChoice& choice) {
  const bool is_named = choice.reference && !choice.reference->empty();
  std::vector<Group> groups;
  for (const Descriptor& entry : index.manifests) {
    if (!is_image_entry(entry) || (is_named && !is_called(entry, *choice.reference))) continue;
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
      return group_of(group.front()) == group_of(entry);
    });
    if (same == groups.end()) {
      groups.push_back({entry});
    } else {
      same->push_back(entry);
    }
  }
  return groups;
}

bool differ_in_platform(const Group& group) {
  std::set<std::string> platforms;
  return std::all_of(group.begin(), group.end(), [&](const Descriptor& entry) {
    return entry.platform && platforms.insert(entry.platform->str()).second;
  });
}

Group choose_of_group(Group group, const LayoutChoice& choice) {
  if (group.size() == 1 && !choice.is_explicit) return group;
  if (!choice.reference && !differ_in_platform(group)) return group;
  const auto best = find_platform(
      {.media_type = {}, .manifests = std::move(group), .annotations = {}}, choice.platform);
  if (!best) throw_not_found("no matching manifest for " + choice.platform.str());
  return {*best};
}

void check_is_one(const std::vector<Group>& groups, const std::string& reference) {
  if (groups.empty() && reference.empty()) throw_not_found("no image in index.json");
  if (groups.empty()) {
    throw_not_found("no image \"" + base::printable(reference) + "\" in index.json");
  }
  if (groups.size() == 1) return;
  std::string names;
  for (const Group& group : groups) {
    names += (names.empty() ? "" : ", ") + base::printable(group_of(group.front()));
    if (names.size() > 1000) break;
  }
  throw_invalid("several images: say which (" + names + ")");
}

}  // namespace

void check_layout_file(std::string_view json) {
  base::while_doing(kLayoutFile, [&] {
    const JsonDocument document(json, {.bytes = kMaxLayoutFileBytes, .depth = 4});
    const JsonValue version = document.root()["imageLayoutVersion"];
    if (!version.string().starts_with("1.")) version.fail("only version 1 is known");
  });
}

Index parse_layout_index(std::string_view json) {
  return base::while_doing(kLayoutIndex, [&] {
    auto parsed = parse_manifest(json, "");
    auto* const index = std::get_if<Index>(&parsed);
    if (index == nullptr) throw_invalid("is no index");
    return std::move(*index);
  });
}

std::string layout_blob_name(const Digest& digest) { return "blobs/sha256/" + digest.hex(); }

std::string render_manifest(const Descriptor& config, const std::vector<Descriptor>& layers) {
  const auto render = [](const Descriptor& descriptor) {
    return nlohmann::ordered_json{{"mediaType", descriptor.media_type},
                                  {"digest", descriptor.digest.str()},
                                  {"size", descriptor.size}};
  };
  nlohmann::ordered_json document = {{"schemaVersion", 2}, {"mediaType", kOciManifest}};
  document["config"] = render(config);
  document["layers"] = nlohmann::ordered_json::array();
  for (const Descriptor& layer : layers) document["layers"].push_back(render(layer));
  return document.dump();
}

bool is_image_entry(const Descriptor& entry) {
  const Index alone{.media_type = {}, .manifests = {entry}, .annotations = {}};
  // Of its own platform, whichever that is: what is left out is no image.
  return find_platform(alone, entry.platform.value_or(Platform::of_host())).has_value();
}

std::vector<Descriptor> choose_layout_entries(const Index& index, const LayoutChoice& choice) {
  const std::vector<Group> groups = group_entries(index, choice);
  if (choice.reference) check_is_one(groups, *choice.reference);
  std::vector<Descriptor> entries;
  for (const Group& group : groups) {
    for (Descriptor& entry : choose_of_group(group, choice)) entries.push_back(std::move(entry));
  }
  return entries;
}

std::optional<Reference> find_layout_name(const Descriptor& entry) {
  const std::string name = group_of(entry);
  if (!is_whole_name(name)) return std::nullopt;
  auto reference = Reference::parse(name);
  if (reference.digest()) return std::nullopt;
  return reference;
}

}  // namespace oci
