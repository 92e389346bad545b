// find_known_image(): whether the store has what an OCI layout's index names. Only the index is
// believed here, which is the user's own word; what the store has was verified when it came.
#include <fcntl.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/archives.h"
#include "oci/layout.h"

namespace engine {
namespace {

std::optional<std::string> read_below(int root_fd, const std::string& name) {
  const auto fd = base::find_in_root(root_fd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!fd) return std::nullopt;
  struct stat info = {};
  base::check(fstat(fd->get(), &info), name);
  if (!S_ISREG(info.st_mode)) return std::nullopt;
  return base::read_fd(fd->get(), oci::kMaxManifestBytes);
}

// The digest of the manifest that a pull from here would take. nullopt: let the pull say why not.
std::optional<oci::Digest> find_manifest(int root_fd, const oci::LayoutChoice& choice) {
  const auto text = read_below(root_fd, oci::kLayoutIndex);
  if (!text) return std::nullopt;
  std::optional<oci::Descriptor> entry =
      oci::choose_layout_entries(oci::parse_layout_index(*text), choice).front();
  for (int depth = 0; depth < oci::kMaxIndexDepth && entry; ++depth) {
    if (entry->media_type != oci::kOciIndex && entry->media_type != oci::kDockerList) {
      return entry->digest;
    }
    const auto nested = read_below(root_fd, oci::layout_blob_name(entry->digest));
    if (!nested) return std::nullopt;
    const auto parsed = oci::parse_manifest(*nested, entry->media_type);
    const auto* const index = std::get_if<oci::Index>(&parsed);
    if (index == nullptr) return std::nullopt;
    entry = find_platform(*index, choice.platform);
  }
  return std::nullopt;
}

}  // namespace

std::optional<storage::ImageRow> find_known_image(storage::Store& store,
                                                  const oci::Transport& source,
                                                  const std::string& platform) {
  if (source.kind != oci::Transport::Kind::kOciLayout) return std::nullopt;
  const oci::LayoutChoice choice = {
      .platform = platform.empty() ? oci::Platform::of_host() : oci::Platform::parse(platform),
      .is_explicit = !platform.empty(),
      .reference = source.reference};
  try {
    const base::UniqueFd root = base::open_file(source.path, O_RDONLY | O_DIRECTORY);
    const auto manifest = find_manifest(root.get(), choice);
    if (!manifest) return std::nullopt;
    const auto id = store.find_image_of_manifest(*manifest);
    if (!id) return std::nullopt;
    base::trace("engine", "the layout's manifest " + manifest->hex().substr(0, 12) + " is known");
    return store.load_image(*id);
  } catch (const base::Error&) {
    return std::nullopt;  // the pull from there meets the same, and reports it
  }
}

}  // namespace engine
