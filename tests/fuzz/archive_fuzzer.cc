// An archive as `load` reads it: the table of its members, docker's and OCI's documents. The first
// byte chooses what the user asked for.
#include <array>
#include <sys/mman.h>
#include <unistd.h>

#include "base/files.h"
#include "engine/image/archive_images.h"
#include "tests/fuzz/check.h"

namespace {

using base::ErrorKind;

bool is_expected(ErrorKind kind) {
  return kind == ErrorKind::kInvalid || kind == ErrorKind::kCorrupt ||
         kind == ErrorKind::kNotFound || kind == ErrorKind::kUnsupported;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static constexpr std::array<const char*, 5> kReferences = {"", "a", "a:1", "@0", "x/y:z"};
  if (size == 0) return 0;
  base::UniqueFd fd(memfd_create("archive", MFD_CLOEXEC));
  base::write_all(fd.get(), text_of(data + 1, size - 1));
  engine::ArchiveChoice choice{.platform = oci::Platform::parse("linux/amd64")};
  if (data[0] % 8 < kReferences.size()) choice.reference = kReferences[data[0] % 8];
  choice.is_explicit = (data[0] & 8U) != 0;
  try {
    const auto files = engine::ArchiveFiles::of_tar(std::move(fd));
    for (const engine::ArchiveImage& image : list_images(files, choice)) {
      FUZZ_CHECK(image.layer_files.size() == image.manifest.layers.size());
      FUZZ_CHECK(image.layer_files.size() == image.config.diff_ids.size());
      for (const std::string& name : image.layer_files) {
        FUZZ_CHECK(files.load(name, engine::ArchiveFiles::Links::kFollowed).size() <= size);
      }
      for (const oci::Reference& name : image.names) FUZZ_CHECK(name.tag() && !name.digest());
    }
  } catch (const base::Error& error) {
    FUZZ_CHECK(is_expected(error.kind()));
    FUZZ_CHECK(std::string_view(error.what()).size() < 10'000);
  }
  return 0;
}
