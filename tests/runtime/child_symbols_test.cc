// Between clone and execve nothing may allocate, lock or throw, nor use what belongs to the thread
// (errno): the child's object files may call only what is listed here.
#include <array>
#include <cstdio>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace runtime {
namespace {

const std::set<std::string> kAllowed = {"memcmp",  "memcpy",       "memmove",
                                        "memset",  "strlen",       "strcmp",
                                        "strrchr", "__memcpy_chk", "_GLOBAL_OFFSET_TABLE_"};
const std::set<std::string> kObjects = {"child.cc.o",         "child_copy_up.cc.o",
                                        "child_devices.cc.o", "child_identity.cc.o",
                                        "child_mounts.cc.o",  "child_settings.cc.o"};

std::string run(const std::string& command) {
  std::string output;
  FILE* const pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 4096> buffer;
  for (std::size_t size = 0; (size = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    output.append(buffer.data(), size);
  }
  pclose(pipe);
  return output;
}

TEST(ChildSymbols, AreTheAllowedOnes) {
  const auto library =
      std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "libruntime.a";
  std::istringstream lines(run("nm '" + library.string() + "'"));
  std::set<std::string> defined;
  std::set<std::string> undefined;
  std::set<std::string> seen;
  bool ours = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with(".o:")) {
      const std::string object = line.substr(0, line.size() - 1);
      ours = kObjects.contains(object);
      if (ours) seen.insert(object);
      continue;
    }
    if (!ours || line.size() < 19) continue;
    const char type = line[17];
    (type == 'U' ? undefined : defined).insert(line.substr(19));
  }
  ASSERT_EQ(seen, kObjects) << "no such objects in " << library;
  for (const std::string& symbol : undefined) {
    EXPECT_TRUE(kAllowed.contains(symbol) || defined.contains(symbol)) << symbol;
  }
}

}  // namespace
}  // namespace runtime
