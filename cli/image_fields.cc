#include "cli/image_fields.h"

#include "base/time.h"
#include "oci/reference.h"

namespace cli {
namespace {

constexpr std::size_t kShortImageId = 12;
constexpr base::Nanoseconds kWholeSecond = 1'000'000'000;

std::string shown_age(base::Nanoseconds duration) {
  return base::human_duration(duration) + " ago";
}

}  // namespace

// Parsing costs more than all the rest of a line: of a name on the Hub's first level, and of one on
// another registry, it would change nothing else.
std::string shown_repository(const storage::ImageLine& line) {
  constexpr std::string_view kHub = "docker.io/";
  constexpr std::string_view kOfficial = "docker.io/library/";
  const std::string& repository = line.repository;
  if (repository.empty()) return "<none>";
  if (!repository.starts_with(kHub)) return repository;
  if (repository.starts_with(kOfficial) && repository.size() < kOfficial.size() + 64 &&
      repository.find('/', kOfficial.size()) == std::string::npos) {
    return repository.substr(kOfficial.size());
  }
  return oci::Reference::parse(repository).familiar_repository();
}

std::string shown_tag(const storage::ImageLine& line) {
  return line.tag.empty() ? "<none>" : line.tag;
}

std::string shown_id(const storage::ImageLine& line, ImageIds ids) {
  return ids == ImageIds::kFull ? "sha256:" + line.id : line.id.substr(0, kShortImageId);
}

Listing::Headers image_headers() {
  return {{"Repository", "REPOSITORY"},
          {"Tag", "TAG"},
          {"Digest", "DIGEST"},
          {"ID", "IMAGE ID"},
          {"CreatedSince", "CREATED"},
          {"CreatedAt", "CREATED AT"},
          {"Size", "SIZE"},
          {"VirtualSize", "SIZE"},
          {"SharedSize", "SHARED SIZE"},
          {"UniqueSize", "UNIQUE SIZE"},
          {"Containers", "CONTAINERS"}};
}

std::string image_field(std::string_view name, const storage::ImageLine& line,
                        base::Nanoseconds now, ImageIds ids) {
  if (name == "Repository") return shown_repository(line);
  if (name == "Tag") return shown_tag(line);
  if (name == "Digest") return line.digest.empty() ? "<none>" : "sha256:" + line.digest;
  if (name == "ID") return shown_id(line, ids);
  if (name == "CreatedSince") return shown_age(now - line.created);
  if (name == "CreatedAt") {
    return base::format_rfc3339(line.created / kWholeSecond * kWholeSecond);
  }
  if (name == "Size" || name == "VirtualSize") return base::human_size(line.size);
  return "N/A";
}

}  // namespace cli
