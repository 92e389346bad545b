// system check: whether the store is what its digests and rows say.
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/command.h"
#include "engine/image_helper.h"

namespace cli {

int run_system_check(const Globals& globals, const Words& words) {
  bool quick = false;
  bool repair = false;
  parse_arguments(
      {.command = "system check",
       .synopsis = "[OPTIONS]",
       .summary = "Compare layers, blobs and images with their digests"},
      {{"--quick", "", "Look at names and sizes only", &quick},
       {"--repair", "", "Remove what is broken, so that it can be pulled again", &repair}},
      words);
  engine::HelperCommand command{.words = {"check"}};
  if (quick) command.words.emplace_back("--quick");
  if (repair) command.words.emplace_back("--repair");
  const nlohmann::json result = engine::run_image_helper(globals.config, command, {});
  bool is_sound = true;
  for (const auto& finding : result.at("findings")) {
    const std::string repaired = finding.value("repaired", "");
    std::string line = finding.value("object", "") + ": " + finding.value("text", "");
    if (!repaired.empty()) line += " (" + repaired + ")";
    print(base::printable(line, 4096) + "\n");
    if (repaired.empty()) is_sound = false;
  }
  if (result.at("findings").empty()) print("Everything is as it should be.\n");
  return is_sound ? 0 : 1;
}

}  // namespace cli
