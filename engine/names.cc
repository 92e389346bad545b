#include "engine/names.h"

#include <array>

#include "base/error.h"

namespace engine {
namespace {

constexpr std::array<const char*, 64> kAdjectives = {
    "able",   "agile",  "airy",   "amber",  "brave",  "breezy", "bright", "brisk",
    "calm",   "candid", "clear",  "clever", "coral",  "cosy",   "crisp",  "daring",
    "deft",   "eager",  "early",  "easy",   "fair",   "fleet",  "fond",   "fresh",
    "gentle", "glad",   "golden", "grand",  "happy",  "hardy",  "honest", "jolly",
    "keen",   "kind",   "lively", "loyal",  "lucid",  "lucky",  "mellow", "merry",
    "mild",   "misty",  "neat",   "nimble", "noble",  "placid", "polite", "proud",
    "quick",  "quiet",  "ready",  "rosy",   "salty",  "serene", "silver", "smooth",
    "steady", "sunny",  "swift",  "tidal",  "trusty", "vivid",  "warm",   "wise"};
constexpr std::array<const char*, 64> kNouns = {
    "anchor",  "atoll",  "barge",   "bay",     "beacon",  "bight",  "bosun",   "bow",
    "buoy",    "cape",   "cargo",   "clipper", "compass", "cove",   "crane",   "current",
    "cutter",  "delta",  "dhow",    "dinghy",  "dock",    "dory",   "eddy",    "ferry",
    "fjord",   "galley", "gull",    "harbour", "helm",    "heron",  "inlet",   "islet",
    "jetty",   "junk",   "keel",    "kelp",    "ketch",   "lagoon", "lantern", "ledge",
    "lighter", "mast",   "mooring", "oar",     "otter",   "pearl",  "pelican", "pier",
    "pilot",   "plover", "prow",    "quay",    "reef",    "rudder", "sail",    "schooner",
    "shoal",   "skiff",  "sloop",   "sound",   "strait",  "tern",   "tide",    "wharf"};

bool is_alphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

}  // namespace

std::string parse_container_name(std::string_view text) {
  const std::string_view name = text.substr(text.starts_with('/') ? 1 : 0);
  bool good = name.size() >= 2 && name.size() <= 255 && is_alphanumeric(name[0]);
  for (const char c : name) good = good && (is_alphanumeric(c) || c == '_' || c == '.' || c == '-');
  if (good) return std::string(name);
  throw base::Error(base::ErrorKind::kInvalid, "Invalid container name (" + std::string(text) +
                                                   "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

std::string plan_name(std::uint64_t number, int attempt) {
  std::string name = kAdjectives[number % kAdjectives.size()];
  name += '_';
  name += kNouns[(number / kAdjectives.size()) % kNouns.size()];
  if (attempt > 0)
    name += std::to_string((number >> 32U) % 10 +
                           std::uint64_t{10} * static_cast<unsigned>(attempt - 1));
  return name;
}

}  // namespace engine
