// What names the store has. Only rows are read: no engine is opened, which would settle what other
// commands have left, and a store that is not there stays away.
#include <csignal>
#include <cstring>
#include <string>

#include "cli/completion.h"
#include "cli/image_fields.h"
#include "runtime/capabilities.h"
#include "storage/image_list.h"
#include "storage/store.h"

namespace cli {
namespace {

constexpr std::size_t kShownId = 12;

bool fits(WordKind kind, storage::ContainerStatus status) {
  using Status = storage::ContainerStatus;
  const bool is_up =
      status == Status::kRunning || status == Status::kPaused || status == Status::kRestarting;
  if (kind == WordKind::kContainersUp) return is_up;
  if (kind == WordKind::kContainersDown) return !is_up;
  return kind == WordKind::kContainers || status == Status::kPaused;
}

std::vector<Candidate> find_containers(storage::Store& store, WordKind kind) {
  std::vector<Candidate> found;
  for (const storage::ContainerRow& row : store.list_containers()) {
    if (row.status != storage::ContainerStatus::kRemoving && fits(kind, row.status)) {
      found.push_back({row.name, row.image_name});
      found.push_back({row.id.substr(0, kShownId), row.name, true});
    }
  }
  return found;
}

std::vector<Candidate> find_images(storage::Store& store) {
  std::vector<Candidate> found;
  for (const storage::ImageLine& line : storage::list_image_lines(store)) {
    const std::string id = shown_id(line, ImageIds::kShort);
    if (line.tag.empty()) {
      found.push_back({id, shown_repository(line)});
    } else {
      found.push_back({shown_repository(line) + ":" + line.tag, id});
      found.push_back({id, shown_repository(line) + ":" + line.tag, true});
    }
  }
  return found;
}

std::vector<Candidate> find_networks(storage::Store& store) {
  // The first is made by the first container on it, the others are no rows.
  std::vector<Candidate> found = {{"bridge", "bridge"}, {"host", "host"}, {"none", "null"}};
  for (const storage::NetworkRow& row : store.list_networks()) {
    if (row.name != "bridge") found.push_back({row.name, row.driver});
  }
  return found;
}

std::vector<Candidate> find_volumes(storage::Store& store) {
  std::vector<Candidate> found;
  for (const storage::VolumeRow& row : store.list_volumes()) found.push_back({row.name, ""});
  return found;
}

std::vector<Candidate> capability_candidates() {
  std::vector<Candidate> found = {{"ALL", ""}};
  for (int i = 0; i < runtime::kCapabilityCount; ++i) {
    found.push_back({std::string(runtime::capability_name(i)).substr(4), ""});  // without CAP_
  }
  return found;
}

std::vector<Candidate> signal_candidates() {
  std::vector<Candidate> found;
  for (int i = 1; i < NSIG; ++i) {
    if (const char* const name = sigabbrev_np(i)) found.push_back({name, sigdescr_np(i)});
  }
  return found;
}

std::vector<Candidate> find_rows(const engine::Config& config, WordKind kind) {
  std::error_code ignored;
  if (!std::filesystem::exists(config.root / "sampan.db", ignored)) return {};
  storage::Store store(config.root);
  if (kind == WordKind::kImages) return find_images(store);
  if (kind == WordKind::kNetworks) return find_networks(store);
  if (kind == WordKind::kVolumes) return find_volumes(store);
  return find_containers(store, kind);
}

}  // namespace

FindNames names_of_store(const engine::Config& config) {
  return [config](WordKind kind) -> std::vector<Candidate> {
    switch (kind) {
      case WordKind::kContainers:
      case WordKind::kContainersUp:
      case WordKind::kContainersDown:
      case WordKind::kContainersPaused:
      case WordKind::kImages:
      case WordKind::kNetworks:
      case WordKind::kVolumes:
        return find_rows(config, kind);
      case WordKind::kSignals:
        return signal_candidates();
      case WordKind::kCapabilities:
        return capability_candidates();
      case WordKind::kPlatforms:
        return {{"linux/amd64", ""}, {"linux/arm64", ""},   {"linux/arm/v7", ""},
                {"linux/386", ""},   {"linux/ppc64le", ""}, {"linux/riscv64", ""},
                {"linux/s390x", ""}};
      case WordKind::kNothing:
      case WordKind::kCommands:
      case WordKind::kFiles:
      case WordKind::kDirectories:
        break;
    }
    return {};
  };
}

}  // namespace cli
