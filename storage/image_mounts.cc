#include "storage/image_mounts.h"

#include <charconv>
#include <fcntl.h>
#include <linux/stat.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "storage/locks.h"

namespace storage {
namespace {

namespace fs = std::filesystem;

#ifndef STATX_MNT_ID
#define STATX_MNT_ID 0x1000U
#endif
constexpr unsigned kUniqueId = 0x4000U;  // STATX_MNT_ID_UNIQUE, Linux 6.8: never used again

std::uint64_t ask_mount_id(int fd, const char* path, int flags) {
  struct statx info = {};
  const unsigned mask = STATX_MNT_ID | kUniqueId;
  if (syscall(SYS_statx, fd, path, flags, mask, &info) != 0) return 0;
  return (info.stx_mask & mask) != 0 ? info.stx_mnt_id : 0;
}

std::uint64_t our_space() {
  struct stat info = {};
  base::check(stat("/proc/self/ns/mnt", &info), "/proc/self/ns/mnt");
  return info.st_ino;
}

fs::path folder_of(const fs::path& root) { return root / "mounts"; }

// "<boot id>\n<namespace>\n<mount>\n<directory>"; the file's name begins with the image's id.
std::string render(const ImageMount& mount) {
  return base::boot_id() + "\n" + std::to_string(mount.space) + "\n" + std::to_string(mount.mount) +
         "\n" + mount.directory;
}

std::uint64_t take_number(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (error == std::errc() && !text.empty()) text.remove_prefix(1);
  return number;
}

bool is_there(const ImageMount& mount) {
  if (mount.directory.empty()) return false;
  if (mount.space != our_space()) return true;
  return mount_id(mount.directory) == mount.mount;
}

}  // namespace

std::uint64_t mount_id(int fd) { return ask_mount_id(fd, "", AT_EMPTY_PATH); }
std::uint64_t mount_id(const std::string& directory) {
  return ask_mount_id(AT_FDCWD, directory.c_str(), 0);
}

std::vector<ImageMount> list_image_mounts(const fs::path& root) {
  std::vector<ImageMount> mounts;
  for (const fs::path& record : list_entries(folder_of(root))) {
    const std::string name = record.filename().string();
    const auto content = base::find_file(record, 65536);
    if (!content || name.size() < 64 || !oci::is_sha256("sha256:" + name.substr(0, 64))) continue;
    std::string_view text = *content;
    const std::string boot = base::boot_id() + "\n";
    const bool same_boot = text.starts_with(boot);
    ImageMount mount{.image = oci::ImageId::from_hex(name.substr(0, 64)), .record = record};
    if (same_boot) {
      text.remove_prefix(boot.size());
      mount.space = take_number(text);
      mount.mount = take_number(text);
      mount.directory = text;
    }
    if (same_boot && is_there(mount)) {
      mounts.push_back(std::move(mount));
    } else {
      forget_image_mount(mount);
    }
  }
  return mounts;
}

ImageMount record_image_mount(const fs::path& root, const oci::ImageId& image,
                              const std::string& directory, std::uint64_t mount) {
  const fs::path folder = folder_of(root);
  base::make_dirs(folder, 0700);
  ImageMount made{.image = image,
                  .directory = directory,
                  .mount = mount,
                  .space = our_space(),
                  .record = folder / (image.hex() + "-" + base::random_hex(4))};
  base::replace_file(made.record, render(made), 0600);
  return made;
}

void forget_image_mount(const ImageMount& mount) { unlink(mount.record.c_str()); }

}  // namespace storage
