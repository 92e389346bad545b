// images, rmi, tag.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/time.h"
#include "cli/command.h"
#include "cli/image_table.h"
#include "cli/listing.h"
#include "oci/image_config.h"
#include "oci/reference.h"

namespace cli {
namespace {

constexpr std::size_t kShortId = 12;

struct ListedImage {
  const storage::ImageRow* image = nullptr;
  std::string repository = "<none>", tag = "<none>", digest = "<none>";
};

// One line per name, as docker's; an image without a name is one line of <none>.
std::vector<ListedImage> list_lines(const std::vector<storage::ImageRow>& images,
                                    const std::vector<storage::ImageName>& names) {
  std::map<oci::ImageId, std::vector<const storage::ImageName*>> by_image;
  for (const auto& name : names) by_image[name.image].push_back(&name);
  std::vector<ListedImage> lines;
  for (const auto& image : images) {
    const auto& own = by_image[image.id];
    for (const storage::ImageName* name : own) {
      ListedImage line{.image = &image};
      const auto reference = oci::Reference::parse(name->repository);
      line.repository = reference.familiar_repository();
      if (!name->tag.empty()) line.tag = name->tag;
      if (name->digest) line.digest = name->digest->str();
      lines.push_back(std::move(line));
    }
    if (own.empty()) lines.push_back({.image = &image});
  }
  std::stable_sort(lines.begin(), lines.end(), [](const ListedImage& a, const ListedImage& b) {
    return a.image->created > b.image->created;
  });
  return lines;
}

// A shell pattern with * and ?, over the whole text.
bool matches_pattern(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t]) && pattern[p] != '*') {
      ++p;
      ++t;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool matches_reference(const std::string& pattern, const ListedImage& line) {
  return matches_pattern(pattern, line.repository) ||
         matches_pattern(pattern, line.repository + ":" + line.tag);
}

bool matches_label(const std::string& wanted, const ListedImage& line) {
  const auto labels = oci::parse_image_config(line.image->config).labels;
  const std::size_t equals = wanted.find('=');
  const auto found = labels.find(wanted.substr(0, equals));
  return found != labels.end() &&
         (equals == std::string::npos || found->second == wanted.substr(equals + 1));
}

// A time, seconds since 1970, or a duration before now.
base::Nanoseconds parse_until(const std::string& text) {
  if (text.find('T') != std::string::npos) return base::parse_rfc3339(text);
  if (!text.empty() && text.find_first_not_of("0123456789") == std::string::npos) {
    return std::stoll(text.substr(0, 10)) * 1'000'000'000;
  }
  return base::now() - base::parse_duration(text);
}

void apply_filter(const std::string& filter, engine::Engine& engine,
                  std::vector<ListedImage>& lines) {
  const std::size_t equals = filter.find('=');
  const std::string key = filter.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : filter.substr(equals + 1);
  const auto keep = [&](auto&& wanted) {
    lines.erase(
        std::remove_if(lines.begin(), lines.end(), [&](const auto& line) { return !wanted(line); }),
        lines.end());
  };
  if (key == "dangling") {
    keep([&](const ListedImage& line) {
      return (line.tag == "<none>" && line.digest == "<none>") == (value == "true" || value == "1");
    });
  } else if (key == "reference") {
    keep([&](const ListedImage& line) { return matches_reference(value, line); });
  } else if (key == "label") {
    keep([&](const ListedImage& line) { return matches_label(value, line); });
  } else if (key == "until") {
    const base::Nanoseconds limit = parse_until(value);
    keep([&](const ListedImage& line) { return line.image->created < limit; });
  } else if (key == "before" || key == "since") {
    const auto pivot = engine.store().find_image(value);
    if (!pivot) throw base::Error(base::ErrorKind::kNotFound, "No such image: " + value);
    keep([&](const ListedImage& line) {
      return key == "before" ? line.image->created < pivot->created
                             : line.image->created > pivot->created;
    });
  } else {
    throw base::Error(base::ErrorKind::kInvalid, "invalid filter '" + key + "'");
  }
}

nlohmann::json image_row(const ListedImage& line, base::Nanoseconds now, bool full) {
  std::string created = base::format_rfc3339(line.image->created / 1'000'000'000 * 1'000'000'000);
  return {{"Repository", line.repository},
          {"Tag", line.tag},
          {"Digest", line.digest},
          {"ID", full ? line.image->id.str() : line.image->id.hex().substr(0, kShortId)},
          {"CreatedSince", base::human_duration(now - line.image->created) + " ago"},
          {"CreatedAt", created},
          {"Size", base::human_size(line.image->size)},
          {"VirtualSize", base::human_size(line.image->size)},
          {"SharedSize", "N/A"},
          {"UniqueSize", "N/A"},
          {"Containers", "N/A"}};
}

int show_trees(const Globals& globals, const std::vector<ListedImage>& lines) {
  Words names;
  for (const ListedImage& line : lines) {
    const bool has_tag = line.tag != "<none>";
    names.push_back(has_tag ? line.repository + ":" + line.tag : line.image->id.hex());
  }
  return names.empty() ? 0 : run_image_tree(globals, names);
}

}  // namespace

int run_images(const Globals& globals, const Words& words) {
  bool all = false;
  bool quiet = false;
  bool digests = false;
  bool no_trunc = false;
  bool tree = false;
  std::string format;
  std::vector<std::string> filters;
  const Words arguments = parse_arguments(
      {.command = "images",
       .synopsis = "[OPTIONS] [REPOSITORY[:TAG]]",
       .summary = "List images",
       .min_arguments = 0,
       .max_arguments = 1},
      {{"-a,--all", "", "Show all images (there are no hidden ones)", &all},
       {"-q,--quiet", "", "Only show image IDs", &quiet},
       {"--digests", "", "Show digests", &digests},
       {"--no-trunc", "", "Don't truncate output", &no_trunc},
       {"--tree", "", "Show layers, their sizes and who shares them", &tree},
       {"-f,--filter", "filter", "Filter output based on conditions provided", &filters},
       {"--format", "string", "Format output: \"table\", \"json\" or a Go template", &format}},
      words);
  std::vector<std::string> fields = {"Repository", "Tag", "ID", "CreatedSince", "Size"};
  if (digests) fields.insert(fields.begin() + 2, "Digest");
  Listing listing(format, fields,
                  {{"Repository", "REPOSITORY"},
                   {"Tag", "TAG"},
                   {"Digest", "DIGEST"},
                   {"ID", "IMAGE ID"},
                   {"CreatedSince", "CREATED"},
                   {"CreatedAt", "CREATED AT"},
                   {"Size", "SIZE"},
                   {"VirtualSize", "SIZE"},
                   {"SharedSize", "SHARED SIZE"},
                   {"UniqueSize", "UNIQUE SIZE"},
                   {"Containers", "CONTAINERS"}});
  engine::Engine engine(globals.config);
  if (arguments.empty() && filters.empty() && !digests && !tree &&
      (format.empty() || format == "table")) {
    const auto plain = storage::list_image_lines(engine.store());
    const ImageIds ids = no_trunc ? ImageIds::kFull : ImageIds::kShort;
    print(quiet ? render_image_ids(plain, ids) : render_image_table(plain, base::now(), ids));
    return 0;
  }
  const auto images = engine.store().list_images();
  std::vector<ListedImage> lines = list_lines(images, engine.store().list_names());
  if (!arguments.empty()) filters.push_back("reference=" + arguments[0]);
  for (const std::string& filter : filters) apply_filter(filter, engine, lines);
  if (tree) return show_trees(globals, lines);
  const base::Nanoseconds now = base::now();
  std::set<std::string> seen;
  for (const ListedImage& line : lines) {
    const nlohmann::json row = image_row(line, now, no_trunc);
    const std::string id = row["ID"];
    if (!quiet) {
      listing.add(row);
    } else if (seen.insert(id).second) {
      print(id + "\n");
    }
  }
  if (!quiet) print(listing.render());
  return 0;
}

int run_rmi(const Globals& globals, const Words& words) {
  bool force = false;
  bool no_prune = false;
  const Words arguments = parse_arguments(
      {.command = "rmi",
       .synopsis = "[OPTIONS] IMAGE [IMAGE...]",
       .summary = "Remove one or more images",
       .min_arguments = 1,
       .max_arguments = kAnyNumber},
      {{"-f,--force", "", "Force removal of the image", &force},
       {"--no-prune", "", "Accepted for docker's sake; there are no untagged parents", &no_prune}},
      words);
  engine::Engine engine(globals.config);
  using storage::Store;
  const int code = for_each_argument(arguments, [&](const std::string& name) {
    const auto result =
        engine.store().remove_image(name, force ? Store::Force::kYes : Store::Force::kNo);
    for (const std::string& untagged : result.names) print("Untagged: " + untagged + "\n");
    if (result.deleted) print("Deleted: " + result.deleted->str() + "\n");
    for (const std::string& layer : result.layers) print("Deleted: sha256:" + layer + "\n");
  });
  if (engine.store().sweep(Store::Sweep::kAllButTrash) > 0) engine::start_janitor(globals.config);
  return code;
}

int run_tag(const Globals& globals, const Words& words) {
  const Words arguments =
      parse_arguments({.command = "tag",
                       .synopsis = "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
                       .summary = "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
                       .min_arguments = 2,
                       .max_arguments = 2},
                      {}, words);
  const auto target = oci::Reference::parse(arguments[1]);
  if (target.digest())
    throw base::Error(base::ErrorKind::kInvalid,
                      "refusing to create a tag with a digest reference");
  engine::Engine engine(globals.config);
  const auto image = engine.store().find_image(arguments[0]);
  if (!image) throw base::Error(base::ErrorKind::kNotFound, "No such image: " + arguments[0]);
  engine.store().tag_image(image->id, target);
  return 0;
}

}  // namespace cli
