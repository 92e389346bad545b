// sampan-image copy-out and copy-in: a container's files to and from a tar stream.
#include <array>
#include <cerrno>
#include <charconv>
#include <optional>
#include <string>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/image/image_commands.h"
#include "cli/image/system_calls.h"
#include "engine/image/tree_extractor.h"
#include "engine/image/tree_packer.h"

namespace cli {
namespace {

constexpr int kDirectoryFd = 4;  // from the engine, who alone has looked up the container
constexpr std::size_t kPiece = 256U << 10U;

engine::ExtractOptions::Ids parse_ids(const std::string& text) {
  engine::ExtractOptions::Ids ids;
  const char* const end = text.data() + text.size();
  const auto [colon, error] = std::from_chars(text.data(), end, ids.uid);
  if (error != std::errc() || colon == end || *colon != ':' ||
      std::from_chars(colon + 1, end, ids.gid).ptr != end) {
    throw base::Error(base::ErrorKind::kInvalid, "--owner: not UID:GID: " + text);
  }
  return ids;
}

}  // namespace

int run_copy_out_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Write a container's files to standard output", "sampan-image copy-out");
  std::string root, base, name;
  app.add_option("--root", root, "Not used");
  app.add_option("--base", base, "The file in the directory")->required();
  app.add_option("--name", name, "Its name in the archive")->required();
  CLI11_PARSE(app, argc, argv);
  restrict_system_calls();
  engine::pack_tree(kDirectoryFd, base, name, STDOUT_FILENO);
  events.send_result({{"name", name}});
  return 0;
}

int run_copy_in_command(int argc, char** argv, EventWriter& events) {
  CLI::App app("Extract standard input in a container's directory", "sampan-image copy-in");
  std::string root, destination, owner;
  app.add_option("--root", root, "Not used");
  app.add_option("--to", destination, "The directory's path in the container")->required();
  app.add_option("--owner", owner, "UID:GID of everything");
  CLI11_PARSE(app, argc, argv);
  restrict_system_calls();
  engine::ExtractOptions options;
  if (!owner.empty()) options.owner = parse_ids(owner);
  std::string buffer(kPiece, '\0');
  const std::uint64_t bytes = engine::extract_tree(
      kDirectoryFd, destination,
      [&]() -> std::string_view {
        ssize_t count = 0;
        do count = read(STDIN_FILENO, buffer.data(), buffer.size());
        while (count < 0 && errno == EINTR);
        base::check(count, "standard input");
        return {buffer.data(), static_cast<std::size_t>(count)};
      },
      options);
  events.send_result({{"bytes", bytes}});
  return 0;
}

}  // namespace cli
