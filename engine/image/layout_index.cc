#include "engine/image/layout_index.h"

#include <set>
#include <utility>

#include "base/error.h"
#include "base/sha256.h"

namespace engine {
namespace {

constexpr std::size_t kMaxManifests = 10'000;
constexpr std::size_t kMaxManifestsBytes = 128U << 20U;  // of all manifests of one archive

oci::Index read_top_index(const ArchiveFiles& files) {
  oci::check_layout_file(files.load(oci::kLayoutFile).read(oci::kMaxLayoutFileBytes));
  return oci::parse_layout_index(base::while_doing(oci::kLayoutIndex, [&] {
    return files.load(oci::kLayoutIndex).read(oci::kMaxManifestBytes);
  }));
}

// Down to a manifest.
LayoutManifest descend(const ArchiveFiles& files, const oci::Descriptor& top,
                       const ArchiveChoice& choice) {
  oci::Descriptor entry = top;
  for (int depth = 0; depth < oci::kMaxIndexDepth; ++depth) {
    std::string bytes = read_layout_blob(files, entry, oci::kMaxManifestBytes);
    auto parsed = oci::parse_manifest(bytes, entry.media_type);
    if (auto* const manifest = std::get_if<oci::Manifest>(&parsed)) {
      return {.top_digest = top.digest,
              .digest = entry.digest,
              .bytes = std::move(bytes),
              .manifest = std::move(*manifest),
              .name = oci::find_layout_name(top)};
    }
    const auto next = find_platform(std::get<oci::Index>(parsed), choice.platform);
    if (!next) {
      throw base::Error(base::ErrorKind::kNotFound,
                        "no matching manifest for " + choice.platform.str());
    }
    entry = *next;
  }
  throw_bad_archive("indexes are nested too deeply");
}

}  // namespace

void throw_bad_archive(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

std::string read_layout_blob(const ArchiveFiles& files, const oci::Descriptor& descriptor,
                             std::size_t limit) {
  const std::string name = oci::layout_blob_name(descriptor.digest);
  return base::while_doing(name, [&] {
    const ArchiveFile file = files.load(name);
    if (file.size() != descriptor.size) {
      throw base::Error(base::ErrorKind::kCorrupt, "not as long as its descriptor says");
    }
    std::string bytes = file.read(limit);
    if (base::sha256_hex(bytes) != descriptor.digest.hex()) {
      throw base::Error(base::ErrorKind::kCorrupt, "digest mismatch");
    }
    return bytes;
  });
}

std::vector<LayoutManifest> choose_manifests(const ArchiveFiles& files,
                                             const ArchiveChoice& choice) {
  std::vector<LayoutManifest> manifests;
  std::size_t total = 0;
  for (const oci::Descriptor& entry : choose_layout_entries(read_top_index(files), choice)) {
    manifests.push_back(descend(files, entry, choice));
    if ((total += manifests.back().bytes.size()) > kMaxManifestsBytes)
      throw_bad_archive("too many manifests");
  }
  return manifests;
}

std::vector<LayoutManifest> find_all_manifests(const ArchiveFiles& files) {
  std::vector<LayoutManifest> found;
  std::set<oci::Digest> seen;
  const oci::Index top = read_top_index(files);
  struct Step {
    oci::Descriptor entry;
    int depth;
  };
  std::vector<Step> pending;
  std::size_t total = 0;
  for (const oci::Descriptor& entry : top.manifests) pending.push_back({entry, 1});
  while (!pending.empty()) {
    const Step step = std::move(pending.back());
    pending.pop_back();
    if (!oci::is_image_entry(step.entry) || !seen.insert(step.entry.digest).second) continue;
    if (seen.size() > kMaxManifests || step.depth > oci::kMaxIndexDepth)
      throw_bad_archive("too many manifests");
    if (!files.find(oci::layout_blob_name(step.entry.digest))) continue;  // of another platform
    std::string bytes = read_layout_blob(files, step.entry, oci::kMaxManifestBytes);
    if ((total += bytes.size()) > kMaxManifestsBytes) throw_bad_archive("too many manifests");
    auto parsed = oci::parse_manifest(bytes, step.entry.media_type);
    if (auto* const index = std::get_if<oci::Index>(&parsed)) {
      for (oci::Descriptor& entry : index->manifests) {
        pending.push_back({std::move(entry), step.depth + 1});
      }
      continue;
    }
    found.push_back({.top_digest = step.entry.digest,
                     .digest = step.entry.digest,
                     .bytes = std::move(bytes),
                     .manifest = std::move(std::get<oci::Manifest>(parsed)),
                     .name = {}});
  }
  return found;
}

}  // namespace engine
