#include "cli/filter_keys.h"

namespace cli {
namespace {

constexpr std::string_view kYesNo = "true false";

constexpr FilterKey kOfContainers[] = {
    {.name = "ancestor", .kind = WordKind::kImages},
    {.name = "before", .kind = WordKind::kContainers},
    {.name = "exited"},
    {.name = "health", .choices = "starting healthy unhealthy none"},
    {.name = "id"},
    {.name = "label"},
    {.name = "name", .kind = WordKind::kContainers},
    {.name = "network", .kind = WordKind::kNetworks},
    {.name = "publish"},
    {.name = "since", .kind = WordKind::kContainers},
    {.name = "status", .choices = "created restarting running removing paused exited dead"},
    {.name = "volume", .kind = WordKind::kVolumes},
};

constexpr FilterKey kOfImages[] = {
    {.name = "before", .kind = WordKind::kImages},
    {.name = "dangling", .choices = kYesNo},
    {.name = "label"},
    {.name = "reference", .kind = WordKind::kImages},
    {.name = "since", .kind = WordKind::kImages},
    {.name = "until"},
};

constexpr FilterKey kOfNetworks[] = {
    {.name = "dangling", .choices = kYesNo},
    {.name = "driver", .choices = "bridge cni host ipvlan macvlan null vxlan"},
    {.name = "id"},
    {.name = "label"},
    {.name = "name", .kind = WordKind::kNetworks},
    {.name = "scope", .choices = "local"},
    {.name = "type", .choices = "builtin custom"},
};

constexpr FilterKey kOfVolumes[] = {
    {.name = "dangling", .choices = kYesNo},
    {.name = "driver", .choices = "local"},
    {.name = "label"},
    {.name = "name", .kind = WordKind::kVolumes},
};

// Those of a swarm and of plugins are docker's: they fit no event here.
constexpr FilterKey kOfEvents[] = {
    {.name = "config"},
    {.name = "container", .kind = WordKind::kContainers},
    {.name = "daemon"},
    {.name = "event",
     .choices = "attach commit connect create delete destroy detach die disconnect exec_create "
                "exec_die exec_start health_status import kill load oom pause pull push rename "
                "restart start stop tag unpause untag update"},
    {.name = "image", .kind = WordKind::kImages},
    {.name = "label"},
    {.name = "network", .kind = WordKind::kNetworks},
    {.name = "node"},
    {.name = "plugin"},
    {.name = "scope", .choices = "local"},
    {.name = "secret"},
    {.name = "service"},
    {.name = "type", .choices = "container image network volume"},
    {.name = "volume", .kind = WordKind::kVolumes},
};

constexpr FilterKey kOfImagePrune[] = {{.name = "dangling", .choices = kYesNo},
                                       {.name = "label"},
                                       {.name = "label!"},
                                       {.name = "until"}};
constexpr FilterKey kOfPrunes[] = {{.name = "label"}, {.name = "label!"}, {.name = "until"}};

}  // namespace

std::span<const FilterKey> filter_keys(std::string_view command) {
  if (command == "ps") return kOfContainers;
  if (command == "images") return kOfImages;
  if (command == "network ls") return kOfNetworks;
  if (command == "volume ls") return kOfVolumes;
  if (command == "events") return kOfEvents;
  if (command == "image prune") return kOfImagePrune;
  if (command.ends_with(" prune")) return kOfPrunes;
  return {};
}

}  // namespace cli
