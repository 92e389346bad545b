// sampan-image evict and check: blobs that go, and the store held against its digests.
#include <cstdint>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cli/image/image_commands.h"
#include "storage/pack/blob_evict.h"
#include "storage/pack/store_check.h"

namespace cli {

int run_evict_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Remove blobs that can be made or fetched again", "sampan-image evict");
  std::string root;
  storage::EvictRequest request;
  app.add_option("--root", root, "The store")->required();
  app.add_flag("--all", request.all, "All of them");
  app.add_flag("--dry-run", request.dry_run, "Only say which");
  app.add_option("--bytes", request.bytes, "Least recently used first, until so much is free");
  app.add_option("--unused-since", request.unused_since, "Those not used since (ns since 1970)");
  CLI11_PARSE(app, argc, argv);
  storage::Store store(root);
  const storage::EvictResult result = storage::evict_blobs(store, request);
  store.checkpoint();
  events.send_result(
      {{"bytes", result.bytes}, {"evicted", result.evicted}, {"staying", result.staying}});
  return 0;
}

int run_check_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Compare the store with its digests", "sampan-image check");
  std::string root;
  bool quick = false;
  bool repair = false;
  app.add_option("--root", root, "The store")->required();
  app.add_flag("--quick", quick, "Compare sizes only");
  app.add_flag("--repair", repair, "Remove what is broken");
  CLI11_PARSE(app, argc, argv);
  storage::Store store(root);
  auto findings = nlohmann::ordered_json::array();
  for (const storage::Finding& finding :
       storage::check_store(store, quick ? storage::CheckDepth::kQuick : storage::CheckDepth::kFull,
                            repair ? storage::CheckRepair::kYes : storage::CheckRepair::kNo)) {
    findings.push_back(
        {{"object", finding.object}, {"text", finding.text}, {"repaired", finding.repaired}});
  }
  store.discard_trash();
  store.checkpoint();
  events.send_result({{"findings", findings}});
  return 0;
}

}  // namespace cli
