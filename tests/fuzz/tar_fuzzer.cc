// A layer's whole way through the unpacker, below a directory of tmpfs: whatever the tar says,
// nothing appears beside that directory; a layer that is taken can be written again byte for byte
// and laid over another. Needs no root, but devices, owners and trusted attributes are only made
// with it.
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/sha256.h"
#include "storage/pack/layer_tar.h"
#include "storage/unpack/fix_up.h"
#include "storage/unpack/layer_unpacker.h"
#include "tests/fuzz/check.h"

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBlock = 512;

// Headers' checksums are made right, so that what a mutation changes is looked at.
std::string repair(std::string tar) {
  for (std::size_t at = 0; at + kBlock <= tar.size();) {
    char* const header = tar.data() + at;
    at += kBlock;
    if (std::all_of(header, header + kBlock, [](char c) { return c == '\0'; })) continue;
    std::memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += static_cast<unsigned char>(header[i]);
    std::snprintf(header + 148, 8, "%06o", sum & 0777777U);
    std::uint64_t size = 0;
    if (std::from_chars(header + 124, header + 135, size, 8).ec != std::errc()) continue;
    if (size > tar.size()) return tar;
    at += (size + kBlock - 1) / kBlock * kBlock;
  }
  return tar;
}

bool is_expected(const base::Error& error) {
  return error.kind() == base::ErrorKind::kInvalid || error.kind() == base::ErrorKind::kCorrupt ||
         error.kind() == base::ErrorKind::kUnsupported;
}

// The lower layer that every input is laid over.
class World {
 public:
  World() {
    std::string name = fs::exists("/dev/shm") ? "/dev/shm/tar-fuzz-XXXXXX" : "/tmp/tar-fuzz-XXXXXX";
    FUZZ_CHECK(mkdtemp(name.data()) != nullptr);
    root_ = name;
    fs::create_directories(root_ / "lower/d");
    std::ofstream(root_ / "lower/f") << "low";
    std::ofstream(root_ / "lower/d/f") << "low";
    fs::permissions(root_ / "lower/d", fs::perms(0700));
    std::ofstream(root_ / "canary") << "alive";
    chmod((root_ / "canary").c_str(), 0640);
  }
  ~World() { base::remove_tree(root_); }

  void check_canary() {
    struct stat info = {};
    FUZZ_CHECK(stat((root_ / "canary").c_str(), &info) == 0 && info.st_size == 5);
    FUZZ_CHECK(info.st_nlink == 1 && (info.st_mode & 07777U) == 0640);
    for (const auto& entry : fs::directory_iterator(root_)) {
      const std::string name = entry.path().filename();
      FUZZ_CHECK(name == "canary" || name == "lower" || name == "diff" || name == "extras" ||
                 name == "copy");
    }
  }

  void unpack(const std::string& tar) {
    const fs::path diff = make("diff"), extras = make("extras");
    oci::Descriptor blob = {.media_type = oci::kOciLayer,
                            .digest = oci::Digest::from_hex(base::sha256_hex(tar)),
                            .size = tar.size()};
    const auto id = oci::DiffId::from_hex(base::sha256_hex(tar));
    storage::LayerUnpacker unpacker(diff, blob, id, {.layer_bytes = 1U << 20U}, {}, extras);
    for (std::size_t at = 0; at < tar.size(); at += 700) {
      unpacker.write(std::string_view(tar).substr(at, 700));
    }
    const auto result = unpacker.finish();
    check_tree(diff);
    std::string again;
    storage::write_recorded_tar(diff, extras, id, [&](std::string_view bytes) { again += bytes; });
    FUZZ_CHECK(again == tar);
    const auto fix_ups = storage::find_fix_ups(diff, result.record, {root_ / "lower"});
    if (fix_ups.empty()) return;
    const fs::path copy = make("copy");
    storage::copy_with_fix_ups(diff, fix_ups, copy);
    check_tree(copy);
  }

  void clear() {
    for (const char* name : {"diff", "extras", "copy"}) base::remove_tree(root_ / name);
  }

 private:
  fs::path make(const char* name) {
    fs::create_directory(root_ / name);
    return root_ / name;
  }
  static void check_tree(const fs::path& root) {
    for (auto entry =
             fs::recursive_directory_iterator(root, fs::directory_options::skip_permission_denied);
         entry != fs::recursive_directory_iterator(); ++entry) {
      FUZZ_CHECK(!entry->path().filename().string().starts_with(".wh."));
    }
  }

  fs::path root_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  const std::string tar = repair(std::string(text_of(data, size)));
  try {
    world.unpack(tar);
  } catch (const base::Error& error) {
    if (!is_expected(error)) std::fprintf(stderr, "unexpected: %s\n", error.what());
    FUZZ_CHECK(is_expected(error));
  }
  world.check_canary();
  world.clear();
  return 0;
}
