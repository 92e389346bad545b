// system df: what images, containers, volumes and blobs take on disk.
#include <map>

#include <nlohmann/json.hpp>

#include "base/text.h"
#include "base/time.h"
#include "cli/command.h"
#include "cli/container_list.h"
#include "cli/listing.h"
#include "engine/cache_usage.h"
#include "oci/reference.h"

namespace cli {
namespace {

using engine::DiskReport;
using Json = nlohmann::json;

constexpr std::size_t kShortId = 12;

// Of one sort of things.
struct Summary {
  const char* type;
  std::size_t total = 0, active = 0;
  std::uint64_t size = 0, used = 0;
  bool with_percent = true;
};

bool is_active(const engine::ContainerInfo& info) {
  return info.row.status == storage::ContainerStatus::kRunning ||
         info.row.status == storage::ContainerStatus::kPaused ||
         info.row.status == storage::ContainerStatus::kRestarting;
}

std::vector<Summary> summarize(const DiskReport& report) {
  Summary images = {.type = "Images", .total = report.images.size()};
  images.size = report.layers;
  images.used = report.used_layers;
  for (const auto& image : report.images) images.active += image.containers > 0 ? 1 : 0;
  Summary containers = {.type = "Containers", .total = report.containers.size()};
  for (const auto& container : report.containers) {
    containers.size += container.size;
    if (!is_active(container.info)) continue;
    ++containers.active;
    containers.used += container.size;
  }
  Summary volumes = {.type = "Local Volumes", .total = report.volumes.size()};
  for (const auto& volume : report.volumes) {
    volumes.size += volume.size;
    if (volume.links == 0) continue;
    ++volumes.active;
    volumes.used += volume.size;
  }
  Summary blobs = {.type = "Blobs", .total = report.blobs.size()};
  blobs.size = report.other_blobs;
  blobs.with_percent = false;
  for (const auto& blob : report.blobs) blobs.size += blob.size;
  return {images, containers, volumes, blobs};
}

Json summary_row(const Summary& summary) {
  const std::uint64_t free = summary.size - summary.used;
  std::string reclaimable = base::human_size(free);
  if (summary.with_percent && summary.size > 0) {
    reclaimable += " (" + std::to_string(free * 100 / summary.size) + "%)";
  }
  return {{"Type", summary.type},
          {"TotalCount", std::to_string(summary.total)},
          {"Active", std::to_string(summary.active)},
          {"Size", base::human_size(summary.size)},
          {"Reclaimable", reclaimable}};
}

std::string ago(base::Nanoseconds time, base::Nanoseconds now) {
  return time == 0 ? "N/A" : base::human_duration(now - time) + " ago";
}

Json image_rows(const DiskReport& report, base::Nanoseconds now) {
  Json rows = Json::array();
  for (const auto& image : report.images) {
    Json row = {{"Repository", "<none>"},
                {"Tag", "<none>"},
                {"ID", image.row.id.hex().substr(0, kShortId)},
                {"CreatedSince", ago(image.row.created, now)},
                {"Size", base::human_size(image.shared + image.unique)},
                {"SharedSize", base::human_size(image.shared)},
                {"UniqueSize", base::human_size(image.unique)},
                {"Containers", std::to_string(image.containers)}};
    if (image.names.empty()) rows.push_back(row);
    for (const auto& name : image.names) {
      row["Repository"] = oci::Reference::parse(name.repository).familiar_repository();
      row["Tag"] = name.tag.empty() ? "<none>" : name.tag;
      rows.push_back(row);
    }
  }
  return rows;
}

Json container_rows(const DiskReport& report, base::Nanoseconds now) {
  Json rows = Json::array();
  for (const auto& container : report.containers) {
    Json row = container_row(container.info, now, Truncation::kShort);
    row["LocalVolumes"] = std::to_string(container.volumes);
    row["Size"] = base::human_size(container.size);
    rows.push_back(row);
  }
  return rows;
}

Json volume_rows(const DiskReport& report) {
  Json rows = Json::array();
  for (const auto& volume : report.volumes) {
    rows.push_back({{"Name", volume.row.name},
                    {"Links", std::to_string(volume.links)},
                    {"Size", base::human_size(volume.size)}});
  }
  return rows;
}

Json blob_rows(const DiskReport& report, base::Nanoseconds now) {
  Json rows = Json::array();
  for (const auto& blob : report.blobs) {
    const std::string way = blob.row.recipe.substr(0, blob.row.recipe.find(' '));
    rows.push_back(
        {{"ID", blob.row.digest.hex().substr(0, kShortId)},
         {"Layer", blob.row.layer.hex().substr(0, kShortId)},
         {"Size", base::human_size(blob.size)},
         {"LastUsed", ago(blob.row.used, now)},
         {"Rebuild", way.empty() ? "unknown" : way},
         {"Origin", blob.row.origin.empty() ? "N/A" : base::printable(blob.row.origin)}});
  }
  return rows;
}

// "CreatedSince:CREATED" for each column.
std::string render_table(const Json& rows,
                         const std::vector<std::pair<const char*, const char*>>& columns) {
  std::vector<std::string> fields;
  Listing::Headers headers;
  for (const auto& [field, header] : columns) {
    fields.emplace_back(field);
    headers[field] = header;
  }
  Listing listing("", fields, headers);
  for (const Json& row : rows) listing.add(row);
  return listing.render();
}

std::string render_details(const DiskReport& report, base::Nanoseconds now) {
  return "Images space usage:\n\n" +
         render_table(image_rows(report, now), {{"Repository", "REPOSITORY"},
                                                {"Tag", "TAG"},
                                                {"ID", "IMAGE ID"},
                                                {"CreatedSince", "CREATED"},
                                                {"Size", "SIZE"},
                                                {"SharedSize", "SHARED SIZE"},
                                                {"UniqueSize", "UNIQUE SIZE"},
                                                {"Containers", "CONTAINERS"}}) +
         "\nContainers space usage:\n\n" +
         render_table(container_rows(report, now), {{"ID", "CONTAINER ID"},
                                                    {"Image", "IMAGE"},
                                                    {"Command", "COMMAND"},
                                                    {"LocalVolumes", "LOCAL VOLUMES"},
                                                    {"Size", "SIZE"},
                                                    {"RunningFor", "CREATED"},
                                                    {"Status", "STATUS"},
                                                    {"Names", "NAMES"}}) +
         "\nLocal Volumes space usage:\n\n" +
         render_table(volume_rows(report),
                      {{"Name", "VOLUME NAME"}, {"Links", "LINKS"}, {"Size", "SIZE"}}) +
         "\nBlobs usage: " + base::human_size(summarize(report).back().size) + "\n\n" +
         render_table(blob_rows(report, now), {{"ID", "BLOB ID"},
                                               {"Layer", "LAYER"},
                                               {"Size", "SIZE"},
                                               {"LastUsed", "LAST USED"},
                                               {"Rebuild", "REBUILD"},
                                               {"Origin", "ORIGIN"}});
}

}  // namespace

int run_system_df(const Globals& globals, const Words& words) {
  bool verbose = false;
  std::string format;
  parse_arguments(
      {.command = "system df", .synopsis = "[OPTIONS]", .summary = "Show disk usage"},
      {{"-v,--verbose", "", "Show detailed information on space usage", &verbose},
       {"--format", "string", "Format output: \"table\", \"json\" or a Go template", &format}},
      words);
  engine::Engine engine(globals.config);
  const DiskReport report = engine::measure_disk(engine);
  const base::Nanoseconds now = base::now();
  if (verbose && format == "json") {
    print(Json{{"Images", image_rows(report, now)},
               {"Containers", container_rows(report, now)},
               {"Volumes", volume_rows(report)},
               {"Blobs", blob_rows(report, now)}}
              .dump() +
          "\n");
    return 0;
  }
  if (verbose) {
    print(render_details(report, now));
    return 0;
  }
  Listing listing(format, {"Type", "TotalCount", "Active", "Size", "Reclaimable"},
                  {{"Type", "TYPE"},
                   {"TotalCount", "TOTAL"},
                   {"Active", "ACTIVE"},
                   {"Size", "SIZE"},
                   {"Reclaimable", "RECLAIMABLE"}});
  for (const Summary& summary : summarize(report)) listing.add(summary_row(summary));
  print(listing.render());
  return 0;
}

}  // namespace cli
