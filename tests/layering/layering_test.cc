// Every #include of ours is an arrow; this table is the drawing of ARCHITECTURE.md. An arrow
// missing here fails.
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;

// folder -> folders it may include. A folder below another ("storage/unpack") has a row of its own
// because it is a library of its own.
const std::map<std::string, std::set<std::string>> kArrows = {
    {"base", {"base"}},
    {"oci", {"oci", "base"}},
    {"registry", {"registry", "oci", "base"}},
    {"registry/remote", {"registry/remote", "registry", "oci", "base"}},
    {"storage", {"storage", "oci", "base"}},
    {"storage/unpack", {"storage/unpack", "storage", "oci", "base"}},
    {"storage/pack",
     {"storage/pack", "storage/pack/deflate", "storage/unpack", "storage", "oci", "base"}},
    {"storage/pack/deflate", {"storage/pack/deflate", "base"}},
    {"network", {"network", "oci", "base"}},
    {"runtime", {"runtime", "oci", "base"}},
    {"engine/template", {"engine/template", "base"}},
    {"engine/log", {"engine/log", "base"}},
    {"engine",
     {"engine", "engine/log", "engine/template", "storage", "network", "runtime", "oci", "base"}},
    {"engine/image",
     {"engine/image", "registry", "registry/remote", "storage", "storage/unpack", "storage/pack",
      "oci", "base"}},
    {"cli",
     {"cli", "engine", "engine/log", "engine/template", "storage", "network", "runtime", "oci",
      "base"}},
    {"cli/oci", {"cli/oci", "runtime", "oci", "base"}},
    {"cli/image",
     {"cli/image", "engine/image", "registry", "registry/remote", "storage", "storage/pack", "oci",
      "base"}},
    {"cli/man", {"cli/man", "cli", "cli/oci"}},
    {"cli/registry", {"cli/registry", "registry", "registry/remote", "oci", "base"}},
};

// Libraries that may be named only where they are wrapped.
const std::map<std::string, std::set<std::string>> kLibraries = {
    {"curl/", {"registry"}},
    {"toml++/", {"registry"}},
    {"openssl/", {"base", "registry"}},
    {"archive.h", {"storage/unpack", "storage/pack"}},
    {"isa-l", {"storage/unpack", "storage/pack"}},
    {"zstd.h", {"storage/unpack", "storage/pack"}},
    {"zlib.h", {"base", "storage/pack", "storage/pack/deflate"}},
    {"sqlite3.h", {"storage"}},
    {"libmnl/", {"network"}},
    {"libnftnl/", {"network"}},
    {"seccomp.h", {"runtime", "cli/image", "cli/registry"}},
    {"rapidjson/", {"oci"}},
    {"CLI/", {"cli", "cli/image"}},
    {"iostream", {"cli", "cli/oci", "cli/image", "cli/man"}},
};

void check_file(const fs::path& root, const fs::path& file) {
  const std::string folder = fs::relative(file, root).parent_path().string();
  const auto arrows = kArrows.find(folder);
  ASSERT_NE(arrows, kArrows.end()) << folder << " has no row in the table";
  static const std::regex include(R"re(^\s*#include\s*([<"])([^>"]+)[>"])re");
  std::ifstream stream(file);
  std::smatch match;
  for (std::string line; std::getline(stream, line);) {
    if (!std::regex_search(line, match, include)) continue;
    const std::string target = match[2];
    if (match[1] == "\"") {
      const std::string to = fs::path(target).parent_path().string();
      EXPECT_TRUE(arrows->second.contains(to)) << file << " includes " << target;
      continue;
    }
    for (const auto& [prefix, folders] : kLibraries) {
      if (target.rfind(prefix, 0) != 0) continue;
      EXPECT_TRUE(folders.contains(folder)) << file << " includes <" << target << ">";
      const bool is_header_of_folder = file.extension() == ".h";
      EXPECT_FALSE(is_header_of_folder) << file << ": <" << target << "> belongs into a .cc file";
    }
  }
}

TEST(Layering, EveryIncludeIsAnArrowOfTheTable) {
  const fs::path root = SAMPAN_SOURCE_DIR;
  int files = 0;
  for (const auto& [folder, arrows] : kArrows) {
    if (!fs::exists(root / folder)) continue;
    for (const auto& entry : fs::directory_iterator(root / folder)) {
      if (entry.path().extension() != ".h" && entry.path().extension() != ".cc") continue;
      check_file(root, entry.path());
      ++files;
    }
  }
  EXPECT_GT(files, 20);
}

}  // namespace
