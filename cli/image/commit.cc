// sampan-image commit: a container's changes become a layer and an image's row.
#include <fcntl.h>
#include <string>
#include <unistd.h>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/time.h"
#include "cli/image/image_commands.h"
#include "cli/image/source_date.h"
#include "cli/image/system_calls.h"
#include "engine/image/committer.h"
#include "oci/manifest.h"

namespace cli {
namespace {

constexpr base::Nanoseconds kSecond = 1'000'000'000;
constexpr int kLowerFd = 4;  // the image's merged layers, from the engine

struct CommitArguments {
  std::string root, container, parent, name;
  std::vector<std::string> hidden;
};

oci::ImageId commit(const CommitArguments& arguments) {
  storage::Store store(arguments.root);
  const std::filesystem::path upper = store.container_dir(arguments.container) / "upper";
  // A container that was never started has none.
  const base::UniqueFd upper_fd(open(upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!upper_fd && errno != ENOENT) base::throw_errno(upper.string());
  engine::CommitJob job = {
      .upper_fd = upper_fd.get(),
      .lower_fd = kLowerFd,
      .hidden = {arguments.hidden.begin(), arguments.hidden.end()},
      .parent = store.load_image(oci::ImageId::from_hex(arguments.parent)),
      .config = oci::parse_image_config(base::read_fd(STDIN_FILENO, oci::kMaxConfigBytes)),
      .name = arguments.name};
  if (const auto date = find_source_date()) {
    job.latest_time = *date;
    job.config.created = base::format_rfc3339(*date * kSecond);
    job.config.history.back().created = job.config.created;  // the one that the engine added
  }
  return engine::commit(store, job);
}

}  // namespace

int run_commit_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Make an image of a container's changes", "sampan-image commit");
  CommitArguments arguments;
  app.add_option("--root", arguments.root, "The store")->required();
  app.add_option("--container", arguments.container, "Its full id")->required();
  app.add_option("--parent", arguments.parent, "The id of its image")->required();
  app.add_option("--name", arguments.name, "REPOSITORY[:TAG]");
  app.add_option("--hide", arguments.hidden, "A path that is the engine's")
      ->allow_extra_args(false);
  CLI11_PARSE(app, argc, argv);
  restrict_system_calls();
  events.send_result({{"image", commit(arguments).str()}});
  return 0;
}

}  // namespace cli
