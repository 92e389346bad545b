// Tars made byte by byte, compressed blobs, and a run of the unpacker over them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>
#include <zstd.h>

#include <isa-l/igzip_lib.h>

#include "base/error.h"
#include "base/files.h"
#include "base/sha256.h"
#include "storage/pack/layer_tar.h"
#include "storage/unpack/layer_unpacker.h"
#include "tests/base/temp_dir.h"

namespace storage_test {

namespace fs = std::filesystem;

struct TarItem {
  char type = '0';
  std::string name, link, data;
  unsigned mode = 0644;
  std::uint64_t uid = geteuid(), gid = getegid();
  std::uint64_t mtime = 1'700'000'000;
  unsigned major = 0, minor = 0;
  std::map<std::string, std::string> pax;  // records of its extended header
};

class Tar {
 public:
  Tar& add(const TarItem& item) {
    if (!item.pax.empty()) {
      std::string records;
      for (const auto& [key, value] : item.pax) records += pax_record(key, value);
      raw(header({.type = 'x', .name = "pax", .link = {}, .data = records}));
      padded(records);
    }
    if (item.name.size() > 100) {
      raw(header({.type = 'L', .name = "././@LongLink", .link = {}, .data = item.name + '\0'}));
      padded(item.name + '\0');
    }
    if (item.link.size() > 100) {
      raw(header({.type = 'K', .name = "././@LongLink", .link = {}, .data = item.link + '\0'}));
      padded(item.link + '\0');
    }
    raw(header(item));
    padded(item.data);
    return *this;
  }
  Tar& file(const std::string& name, const std::string& data = {}, unsigned mode = 0644) {
    return add({.type = '0', .name = name, .link = {}, .data = data, .mode = mode});
  }
  Tar& dir(const std::string& name, unsigned mode = 0755) {
    return add({.type = '5', .name = name, .link = {}, .data = {}, .mode = mode});
  }
  Tar& symlink(const std::string& name, const std::string& target) {
    return add({.type = '2', .name = name, .link = target, .data = {}, .mode = 0777});
  }
  Tar& hard_link(const std::string& name, const std::string& target) {
    return add({.type = '1', .name = name, .link = target});
  }
  Tar& raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  Tar& padded(const std::string& bytes) {
    bytes_ += bytes;
    bytes_.append((512 - bytes.size() % 512) % 512, '\0');
    return *this;
  }
  std::string open_end() const { return bytes_; }
  std::string end() const { return bytes_ + std::string(1024, '\0'); }

  static std::string pax_record(const std::string& key, const std::string& value) {
    const std::size_t rest = key.size() + value.size() + 3;  // space, "=", newline
    std::size_t size = rest + 1;
    while (size != rest + std::to_string(size).size()) size = rest + std::to_string(size).size();
    return std::to_string(size) + " " + key + "=" + value + "\n";
  }

  static std::string header(const TarItem& item) {
    std::string block(512, '\0');
    const auto put = [&](std::size_t at, std::string_view text) {
      block.replace(at, text.size(), text);
    };
    put(0, std::string_view(item.name).substr(0, 100));
    put_number(block, 100, 8, item.mode);
    put_number(block, 108, 8, item.uid);
    put_number(block, 116, 8, item.gid);
    put_number(block, 124, 12, item.data.size());
    put_number(block, 136, 12, item.mtime);
    block[156] = item.type;
    put(157, std::string_view(item.link).substr(0, 100));
    put(257, std::string_view("ustar\00000", 8));
    put_number(block, 329, 8, item.major);
    put_number(block, 337, 8, item.minor);
    checksum(block);
    return block;
  }

  static void checksum(std::string& block) {
    block.replace(148, 8, 8, ' ');
    unsigned sum = 0;
    for (const char byte : block) sum += static_cast<unsigned char>(byte);
    put_number(block, 148, 7, sum);
  }

  // Octal where it fits, else base-256 as GNU tar writes it.
  static void put_number(std::string& block, std::size_t at, std::size_t width,
                         std::uint64_t value) {
    if (value < 1ULL << (3 * (width - 1))) {
      for (std::size_t i = width - 1; i > 0; --i, value >>= 3U) {
        block[at + i - 1] = static_cast<char>('0' + (value & 7U));
      }
      block[at + width - 1] = '\0';
      return;
    }
    for (std::size_t i = width; i > 0; --i, value >>= 8U) {
      block[at + i - 1] = static_cast<char>(value & 0xffU);
    }
    block[at] = static_cast<char>(0x80);
  }

 private:
  std::string bytes_;
};

inline std::string gzip(std::string_view bytes) {  // one member
  isal_zstream stream = {};
  isal_deflate_init(&stream);
  stream.end_of_stream = 1;
  stream.flush = NO_FLUSH;
  stream.gzip_flag = IGZIP_GZIP;
  std::string packed(2 * bytes.size() + 1024, '\0');  // noise grows
  stream.next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<std::uint32_t>(bytes.size());
  stream.next_out = reinterpret_cast<std::uint8_t*>(packed.data());
  stream.avail_out = static_cast<std::uint32_t>(packed.size());
  isal_deflate(&stream);
  packed.resize(stream.total_out);
  return packed;
}

inline std::string zstd(std::string_view bytes) {  // one frame
  std::string packed(ZSTD_compressBound(bytes.size()), '\0');
  packed.resize(ZSTD_compress(packed.data(), packed.size(), bytes.data(), bytes.size(), 3));
  return packed;
}

inline oci::Descriptor describe(std::string_view blob) {
  return {.media_type = oci::kOciLayerGzip,
          .digest = oci::Digest::from_hex(base::sha256_hex(blob)),
          .size = blob.size(),
          .platform = {},
          .artifact_type = {},
          .urls = {},
          .annotations = {},
          .data = {}};
}

// Unpacks `blob`, given in pieces of `piece` bytes, whose tar is `tar`; and whatever the tar is,
// the layer's directory and its record give the identical one.
inline storage::LayerUnpacker::Result unpack_blob(const fs::path& into, std::string_view blob,
                                                  std::string_view tar, std::size_t piece = 65536,
                                                  const storage::UnpackLimits& limits = {}) {
  const TempDir beside;
  const auto layer = oci::DiffId::from_hex(base::sha256_hex(tar));
  storage::LayerUnpacker unpacker(into, describe(blob), layer, limits, {}, beside.path());
  for (std::size_t at = 0; at < blob.size(); at += piece) unpacker.write(blob.substr(at, piece));
  auto result = unpacker.finish();
  std::string again;
  storage::write_recorded_tar(into, beside.path(), layer,
                              [&](std::string_view bytes) { again += bytes; });
  if (again != tar) throw base::Error(base::ErrorKind::kCorrupt, "another tar was written");
  return result;
}

inline storage::LayerUnpacker::Result unpack(const fs::path& into, const std::string& tar) {
  return unpack_blob(into, tar, tar);
}

// The error that `action` ends with; fails the comparison with "no error" where it has none.
template <class Action>
std::pair<base::ErrorKind, std::string> error_of(Action action) {
  try {
    action();
  } catch (const base::Error& error) {
    return {error.kind(), error.what()};
  }
  return {base::ErrorKind::kConflict, "no error"};
}

inline std::string content(const fs::path& path) { return base::read_file(path); }

inline struct stat status_of(const fs::path& path) {
  struct stat info = {};
  base::check(lstat(path.c_str(), &info), path.string());
  return info;
}

inline std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    names.push_back(fs::relative(entry.path(), folder).string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace storage_test
