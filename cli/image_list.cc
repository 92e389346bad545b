// images.
#include "storage/image_list.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/time.h"
#include "cli/command.h"
#include "cli/image_fields.h"
#include "cli/listing.h"
#include "oci/image_config.h"

namespace cli {
namespace {

using storage::ImageLine;

struct ImageListFlags {
  bool all = false, quiet = false, digests = false, no_trunc = false, tree = false;
  std::string format;
  Words filters;

  // docker pairs each tag with each digest only where digests are shown.
  storage::ImageDigests wanted_digests() const {
    const bool in_format = format == "json" || format.find("json .") != std::string::npos ||
                           format.find(".Digest") != std::string::npos;
    return digests || in_format ? storage::ImageDigests::kEach : storage::ImageDigests::kNone;
  }
};

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

bool matches_reference(const std::string& pattern, const ImageLine& line) {
  const std::string repository = shown_repository(line);
  return matches_pattern(pattern, repository) ||
         matches_pattern(pattern, repository + ":" + shown_tag(line));
}

bool image_has_label(const std::string& wanted, engine::Engine& engine, const ImageLine& line) {
  const auto image = engine.store().find_image(line.id);
  if (!image) return false;  // removed since
  const auto labels = oci::parse_image_config(image->config).labels;
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
                  std::vector<ImageLine>& lines) {
  const std::size_t equals = filter.find('=');
  const std::string key = filter.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : filter.substr(equals + 1);
  const auto keep = [&](auto&& wanted) {
    std::erase_if(lines, [&](const ImageLine& line) { return !wanted(line); });
  };
  if (key == "dangling") {
    keep([&](const ImageLine& line) {
      return line.tag.empty() == (value == "true" || value == "1");
    });
  } else if (key == "reference") {
    keep([&](const ImageLine& line) { return matches_reference(value, line); });
  } else if (key == "label") {
    keep([&](const ImageLine& line) { return image_has_label(value, engine, line); });
  } else if (key == "until") {
    const base::Nanoseconds limit = parse_until(value);
    keep([&](const ImageLine& line) { return line.created < limit; });
  } else if (key == "before" || key == "since") {
    const auto pivot = engine.store().find_image(value);
    if (!pivot) throw base::Error(base::ErrorKind::kNotFound, "No such image: " + value);
    keep([&](const ImageLine& line) {
      return key == "before" ? line.created < pivot->created : line.created > pivot->created;
    });
  } else {
    throw base::Error(base::ErrorKind::kInvalid, "invalid filter '" + key + "'");
  }
}

int show_trees(const Globals& globals, const std::vector<ImageLine>& lines) {
  Words names;
  for (const ImageLine& line : lines) {
    names.push_back(line.tag.empty() ? line.id : shown_repository(line) + ":" + line.tag);
  }
  return names.empty() ? 0 : run_image_tree(globals, names);
}

std::string render_ids(const std::vector<ImageLine>& lines, ImageIds ids) {
  std::unordered_set<std::string_view> seen(lines.size());
  std::string text;
  for (const ImageLine& line : lines) {
    if (seen.insert(line.id).second) text += shown_id(line, ids) + "\n";
  }
  return text;
}

std::string render_lines(const std::vector<ImageLine>& lines, const ImageListFlags& flags,
                         ImageIds ids) {
  Words fields = {"Repository", "Tag", "ID", "CreatedSince", "Size"};
  if (flags.digests) fields.insert(fields.begin() + 2, "Digest");
  const Listing::Headers headers = image_headers();
  Listing listing(flags.format, fields, headers);
  listing.expect(lines.size());
  const base::Nanoseconds now = base::now();
  for (const ImageLine& line : lines) {
    const auto field = [&](const std::string& name) { return image_field(name, line, now, ids); };
    if (listing.is_simple()) {
      listing.add_fields(field);
      continue;
    }
    nlohmann::json row;
    for (const auto& [name, header] : headers) row[name] = field(name);
    listing.add(row);
  }
  return listing.render();
}

}  // namespace

int run_images(const Globals& globals, const Words& words) {
  ImageListFlags flags;
  const Words arguments = parse_arguments(
      {.command = "images",
       .synopsis = "[OPTIONS] [REPOSITORY[:TAG]]",
       .summary = "List images",
       .min_arguments = 0,
       .max_arguments = 1},
      {{"-a,--all", "", "Show all images (there are no hidden ones)", &flags.all},
       {"-q,--quiet", "", "Only show image IDs", &flags.quiet},
       {"--digests", "", "Show digests", &flags.digests},
       {"--no-trunc", "", "Don't truncate output", &flags.no_trunc},
       {"--tree", "", "Show layers, their sizes and who shares them", &flags.tree},
       {"-f,--filter", "filter", "Filter output based on conditions provided", &flags.filters},
       {"--format", "string", "Format output: \"table\", \"json\" or a Go template",
        &flags.format}},
      words);
  engine::Engine engine(globals.config);
  auto lines = storage::list_image_lines(engine.store(), flags.wanted_digests());
  if (!arguments.empty()) flags.filters.push_back("reference=" + arguments[0]);
  for (const std::string& filter : flags.filters) apply_filter(filter, engine, lines);
  if (flags.tree) return show_trees(globals, lines);
  const ImageIds ids = flags.no_trunc ? ImageIds::kFull : ImageIds::kShort;
  print(flags.quiet ? render_ids(lines, ids) : render_lines(lines, flags, ids));
  return 0;
}

}  // namespace cli
