#include "cli/image_table.h"

#include <algorithm>
#include <array>
#include <set>

#include "oci/reference.h"

namespace cli {
namespace {

constexpr std::size_t kColumns = 5;
constexpr std::size_t kMinimum = 10, kGap = 3;  // as align_columns(), listing.h
constexpr std::size_t kShortId = 12;
using Row = std::array<std::string, kColumns>;

// Parsing costs more than all the rest of a line: of a name on the Hub's first level, and of one on
// another registry, it would change nothing else.
std::string familiar(const std::string& repository) {
  constexpr std::string_view kHub = "docker.io/";
  constexpr std::string_view kOfficial = "docker.io/library/";
  if (repository.empty()) return "<none>";
  if (!repository.starts_with(kHub)) return repository;
  if (repository.starts_with(kOfficial) && repository.size() < kOfficial.size() + 64 &&
      repository.find('/', kOfficial.size()) == std::string::npos) {
    return repository.substr(kOfficial.size());
  }
  return oci::Reference::parse(repository).familiar_repository();
}

std::string shown_id(const storage::ImageLine& line, ImageIds ids) {
  return ids == ImageIds::kFull ? "sha256:" + line.id : line.id.substr(0, kShortId);
}

}  // namespace

std::string render_image_table(const std::vector<storage::ImageLine>& lines, base::Nanoseconds now,
                               ImageIds ids) {
  std::vector<Row> rows = {{"REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"}};
  rows.reserve(lines.size() + 1);
  for (const storage::ImageLine& line : lines) {
    rows.push_back({familiar(line.repository), line.tag.empty() ? "<none>" : line.tag,
                    shown_id(line, ids), base::human_duration(now - line.created) + " ago",
                    base::human_size(line.size)});
  }
  // Names of images, numbers and our own words: one column for each byte.
  std::array<std::size_t, kColumns> widths;
  widths.fill(kMinimum);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      widths[i] = std::max(widths[i], row[i].size() + kGap);
    }
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      text += row[i];
      if (i + 1 < kColumns) text.append(widths[i] - row[i].size(), ' ');
    }
    text += "\n";
  }
  return text;
}

std::string render_image_ids(const std::vector<storage::ImageLine>& lines, ImageIds ids) {
  std::set<std::string_view> seen;
  std::string text;
  for (const storage::ImageLine& line : lines) {
    if (seen.insert(line.id).second) text += shown_id(line, ids) + "\n";
  }
  return text;
}

}  // namespace cli
