// The prune commands: what nobody uses goes, after a question.
#include <string>
#include <string_view>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/time.h"
#include "cli/command.h"
#include "engine/cache_prune.h"

namespace cli {
namespace {

using engine::PruneMode;
using engine::PruneReport;
using engine::PruneWhich;

struct PruneFlags {
  bool all = false, force = false, dry_run = false, volumes = false;
  Words filters;

  PruneMode mode() const { return dry_run ? PruneMode::kDryRun : PruneMode::kRemove; }
  PruneWhich which() const { return all ? PruneWhich::kAll : PruneWhich::kDangling; }
};

std::vector<Flag> prune_table(PruneFlags& flags, const char* all_help) {
  std::vector<Flag> table = {
      {"-f,--force", "", "Do not prompt for confirmation", &flags.force},
      {"--filter", "filter", "Provide filter values (e.g. \"until=<timestamp>\", \"label=<key>\")",
       &flags.filters},
      {"--dry-run", "", "Say what would be removed, and remove nothing", &flags.dry_run}};
  if (all_help != nullptr) table.push_back({"-a,--all", "", all_help, &flags.all});
  return table;
}

// docker's question; everything but y is no.
bool is_confirmed(const PruneFlags& flags, const std::string& warning) {
  if (flags.force || flags.dry_run) return true;
  print("WARNING! " + warning + "\nAre you sure you want to continue? [y/N] ");
  char answer = '\0';
  char byte = '\0';
  while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n') {
    if (answer == '\0' && byte != ' ') answer = byte;
  }
  return answer == 'y' || answer == 'Y';
}

void print_items(const std::string& what, const std::vector<std::string>& items,
                 const std::string& prefix, bool dry_run) {
  if (items.empty()) return;
  print((dry_run ? "Would delete " : "Deleted ") + what + ":\n");
  for (const std::string& item : items) print(prefix + item + "\n");
  print("\n");
}

void print_images(const PruneReport& report, bool dry_run) {
  if (report.images.empty()) return;
  print(dry_run ? "Would delete Images:\n" : "Deleted Images:\n");
  for (const std::string& name : report.untagged) print("untagged: " + name + "\n");
  for (const std::string& id : report.images) print("deleted: " + id + "\n");
  print("\n");
}

int finish(const Globals& globals, const PruneFlags& flags, const PruneReport& report) {
  print_items("Containers", report.containers, "", flags.dry_run);
  print_items("Networks", report.networks, "", flags.dry_run);
  print_items("Volumes", report.volumes, "", flags.dry_run);
  print_images(report, flags.dry_run);
  print_items("Blobs", report.blobs, "sha256:", flags.dry_run);
  print(std::string(flags.dry_run ? "Total reclaimable space: " : "Total reclaimed space: ") +
        base::human_size(report.bytes) + "\n");
  if (!flags.dry_run && (!report.images.empty() || !report.volumes.empty())) {
    engine::start_janitor(globals.config);
  }
  return 0;
}

// docker's other word for -a of images: --filter dangling=false. Taken out of the filters.
bool take_dangling(std::vector<std::string>& filters) {
  constexpr std::string_view kKey = "dangling=";
  bool only_dangling = true;
  std::erase_if(filters, [&](const std::string& filter) {
    if (!filter.starts_with(kKey)) return false;
    const std::string value = filter.substr(kKey.size());
    if (value != "true" && value != "1" && value != "false" && value != "0") {
      throw base::Error(base::ErrorKind::kInvalid, "invalid filter 'dangling=" + value + "'");
    }
    only_dangling = value == "true" || value == "1";
    return true;
  });
  return only_dangling;
}

}  // namespace

int run_image_prune(const Globals& globals, const Words& words) {
  PruneFlags flags;
  parse_arguments(
      {.command = "image prune", .synopsis = "[OPTIONS]", .summary = "Remove unused images"},
      prune_table(flags, "Remove all unused images, not just dangling ones"), words);
  if (!take_dangling(flags.filters)) flags.all = true;
  const auto filter = engine::parse_prune_filter(flags.filters, base::now());
  const char* const warning =
      flags.all ? "This will remove all images without at least one container associated to them."
                : "This will remove all dangling images.";
  if (!is_confirmed(flags, warning)) return 0;
  engine::Engine engine(globals.config);
  return finish(globals, flags, engine::prune_images(engine, flags.which(), filter, flags.mode()));
}

int run_container_prune(const Globals& globals, const Words& words) {
  PruneFlags flags;
  parse_arguments({.command = "container prune",
                   .synopsis = "[OPTIONS]",
                   .summary = "Remove all stopped containers"},
                  prune_table(flags, nullptr), words);
  const auto filter = engine::parse_prune_filter(flags.filters, base::now());
  if (!is_confirmed(flags, "This will remove all stopped containers.")) return 0;
  engine::Engine engine(globals.config);
  return finish(globals, flags, engine::prune_containers(engine, filter, flags.mode()));
}

int run_volume_prune(const Globals& globals, const Words& words) {
  PruneFlags flags;
  parse_arguments({.command = "volume prune",
                   .synopsis = "[OPTIONS]",
                   .summary = "Remove unused local volumes"},
                  prune_table(flags, "Remove all unused volumes, not just anonymous ones"), words);
  const auto filter = engine::parse_prune_filter(flags.filters, base::now());
  const char* const warning =
      flags.all ? "This will remove all local volumes not used by at least one container."
                : "This will remove anonymous local volumes not used by at least one container.";
  if (!is_confirmed(flags, warning)) return 0;
  engine::Engine engine(globals.config);
  return finish(globals, flags, engine::prune_volumes(engine, flags.which(), filter, flags.mode()));
}

int run_system_prune(const Globals& globals, const Words& words) {
  PruneFlags flags;
  std::vector<Flag> table = prune_table(flags, "Remove all unused images, not just dangling ones");
  table.push_back({"--volumes", "", "Prune anonymous volumes", &flags.volumes});
  parse_arguments(
      {.command = "system prune", .synopsis = "[OPTIONS]", .summary = "Remove unused data"}, table,
      words);
  const auto filter = engine::parse_prune_filter(flags.filters, base::now());
  if (flags.volumes && filter.until) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "the \"until\" filter is not supported with \"--volumes\"");
  }
  std::string warning =
      "This will remove:\n  - all stopped containers\n"
      "  - all networks not used by at least one container\n";
  if (flags.volumes) {
    warning += "  - all anonymous volumes not used by at least one container\n";
  }
  warning += flags.all ? "  - all images without at least one container associated to them\n"
                       : "  - all dangling images\n";
  warning += "  - all blobs that can be made or fetched again\n";
  if (!flags.filters.empty()) {
    warning += "\n  Items to be pruned will be filtered with:\n";
    for (const std::string& text : flags.filters) warning += "  - " + text + "\n";
  }
  if (!is_confirmed(flags, warning)) return 0;
  engine::Engine engine(globals.config);
  PruneReport report = engine::prune_containers(engine, filter, flags.mode());
  report.add(engine::prune_unused_networks(engine, filter, flags.mode()));
  if (flags.volumes) {
    report.add(engine::prune_volumes(engine, PruneWhich::kDangling, filter, flags.mode()));
  }
  report.add(engine::prune_images(engine, flags.which(), filter, flags.mode()));
  // Blobs have no labels, and a day of theirs is not that of an image.
  if (flags.filters.empty()) report.add(engine::prune_blobs(engine, flags.mode()));
  return finish(globals, flags, report);
}

}  // namespace cli
