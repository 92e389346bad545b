// Isolation: which namespaces a container has of its own, shares with the host or with another
// container, and which ids of the host its users have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/options.h"
#include "oci/runtime_spec.h"

namespace storage {
class Store;
}

namespace engine {

// Files below /proc that stand for namespaces of other containers; empty: not shared.
struct JoinedNamespaces {
  std::string pid, ipc, network, mounts;  // mounts: where the shared /dev/shm is
};

struct UserMappings {  // empty: no user namespace
  std::vector<oci::IdMapping> uids, gids;
  bool empty() const { return uids.empty(); }
};

// Ids of the host for containers without mappings of their own: `containers` of subuid(5), or from
// 2^31 on, where nobody else has users. Each container takes one slot of kSlotSize.
inline constexpr std::uint32_t kSlotSize = 65536;
struct IdRange {
  std::uint32_t first = 1U << 31U;
  std::uint32_t slots = 32767;
};
IdRange parse_id_range(const std::string& subuid);
UserMappings plan_user_mappings(const ContainerOptions& options, const IdRange& range,
                                std::uint32_t slot);

bool has_user_namespace(const ContainerOptions& options);
std::vector<oci::Namespace> plan_namespaces(const ContainerOptions& options,
                                            const JoinedNamespaces& joined);

// --device-cgroup-rule "c 13:* rwm"; throws kInvalid with docker's words.
oci::DeviceRule parse_device_rule(const std::string& text);

// Throws kInvalid with docker's words for modes that it does not have or that contradict others.
void check_isolation(const ContainerOptions& options);

// "container:NAME" becomes "container:<id>". Throws kNotFound, and kConflict with docker's words
// where that container does not share what is wanted.
void resolve_shared_namespaces(storage::Store& store, ContainerOptions& options);

// Of containers that run now; throws kConflict with docker's words where one does not.
JoinedNamespaces find_joined(storage::Store& store, const ContainerOptions& options);

// The container's slot, chosen once and kept until it is removed.
enum class SlotUse { kTake, kExample };  // kExample: for a container that does not exist
UserMappings take_user_mappings(storage::Store& store, const std::string& id,
                                const ContainerOptions& options, SlotUse use);

}  // namespace engine
