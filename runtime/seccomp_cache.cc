// The cache's file, named <hash of the key>.bpf: a Header, the key (the whole profile in canonical
// form, so that equal names with unequal content can't be confused), the instructions, and a
// checksum over all of it. Written under another name and renamed.
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "runtime/seccomp.h"
#include "runtime/seccomp_numbers.h"

namespace runtime {
namespace {

namespace fs = std::filesystem;

struct Header {
  char magic[8] = {'s', 'm', 'p', 'n', 'B', 'P', 'F', '2'};  // the digit: changes with the compiler
  std::uint32_t key_size = 0;
  std::uint32_t instruction_count = 0;
  std::uint32_t flags = 0;
  std::uint32_t has_listener = 0;
};
static_assert(sizeof(Header) == 24);

// FNV-1a over words of eight bytes, folded so that high bits reach low ones: against torn files,
// not against forgers.
std::uint64_t hash_of(std::string_view bytes) {
  constexpr std::uint64_t kPrime = 0x100000001b3;
  std::uint64_t hash = 0xcbf29ce484222325 ^ bytes.size();
  const auto mix = [&hash](std::uint64_t word) {
    hash = (hash ^ word) * kPrime;
    hash ^= hash >> 32U;
  };
  std::uint64_t word = 0;
  std::size_t at = 0;
  for (; at + sizeof word <= bytes.size(); at += sizeof word) {
    std::memcpy(&word, bytes.data() + at, sizeof word);
    mix(word);
  }
  word = 0;
  std::memcpy(&word, bytes.data() + at, bytes.size() - at);
  if (at < bytes.size()) mix(word);
  return hash;
}

// Lengths before everything, so that no two profiles read the same.
class Key {
 public:
  void add(std::uint64_t number) {
    bytes_.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  void add(std::string_view text) {
    add(text.size());
    bytes_ += text;
  }
  void add(const std::vector<std::string>& list) {
    add(list.size());
    for (const std::string& item : list) add(item);
  }
  void add(const std::optional<std::uint32_t>& number) {
    add(number ? std::uint64_t{*number} + 1 : 0);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

std::string key_of(const oci::Seccomp& profile) {
  Key key;
  key.add(native_seccomp_architecture().token);
  key.add(profile.default_action);
  key.add(profile.default_errno_ret);
  key.add(profile.architectures);
  key.add(profile.flags);
  key.add(profile.syscalls.size());
  for (const oci::SyscallRule& rule : profile.syscalls) {
    key.add(rule.names);
    key.add(rule.action);
    key.add(rule.errno_ret);
    key.add(rule.args.size());
    for (const oci::SyscallArgument& argument : rule.args) {
      key.add(argument.index);
      key.add(argument.value);
      key.add(argument.value_two);
      key.add(argument.op);
    }
  }
  key.add(std::uint64_t{!profile.listener_path.empty()});
  return key.take();
}

std::string encode(const std::string& key, const SeccompProgram& program) {
  Header header;
  header.key_size = static_cast<std::uint32_t>(key.size());
  header.instruction_count = static_cast<std::uint32_t>(program.instructions.size());
  header.flags = program.flags;
  header.has_listener = program.has_listener ? 1 : 0;
  std::string bytes(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += key;
  bytes.append(reinterpret_cast<const char*>(program.instructions.data()),
               program.instructions.size() * sizeof(BpfInstruction));
  const std::uint64_t sum = hash_of(bytes);
  bytes.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  return bytes;
}

std::optional<SeccompProgram> decode(std::string_view bytes, std::string_view key) {
  Header header;
  const Header expected;
  constexpr std::size_t kSum = sizeof(std::uint64_t);
  if (bytes.size() < sizeof header + kSum) return std::nullopt;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.magic, expected.magic, sizeof header.magic) != 0) return std::nullopt;
  const std::size_t code_size = std::size_t{header.instruction_count} * sizeof(BpfInstruction);
  if (header.key_size != key.size() ||
      bytes.size() != sizeof header + key.size() + code_size + kSum) {
    return std::nullopt;
  }
  if (bytes.substr(sizeof header, key.size()) != key) return std::nullopt;
  std::uint64_t sum = 0;
  std::memcpy(&sum, bytes.data() + bytes.size() - kSum, kSum);
  if (hash_of(bytes.substr(0, bytes.size() - kSum)) != sum) return std::nullopt;
  SeccompProgram program;
  program.flags = header.flags;
  program.has_listener = header.has_listener != 0;
  program.instructions.resize(header.instruction_count);
  std::memcpy(program.instructions.data(), bytes.data() + sizeof header + key.size(), code_size);
  return program;
}

// Only what nobody else can have written counts: a filter that lets everything through would be a
// way out.
bool is_private(const struct stat& info) {
  return info.st_uid == geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

bool is_private_directory(const fs::path& path) {
  struct stat info = {};
  return lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode) && is_private(info);
}

std::optional<std::string> find_private_file(const fs::path& path) {
  const base::UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info = {};
  if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode) || !is_private(info))
    return std::nullopt;
  return base::read_fd(fd.get(), 1U << 20U);
}

std::optional<SeccompProgram> find_cached(const fs::path& file, const std::string& key) {
  if (!is_private_directory(file.parent_path())) return std::nullopt;
  const auto bytes = find_private_file(file);
  return bytes ? decode(*bytes, key) : std::nullopt;
}

void store(const fs::path& file, const std::string& bytes) {
  base::make_dirs(file.parent_path(), 0700);
  if (!is_private_directory(file.parent_path()) || base::add_file(file, bytes, 0600)) return;
  unlink(file.c_str());  // what find_cached() could not use
  base::add_file(file, bytes, 0600);
}

}  // namespace

SeccompProgram load_or_compile_seccomp(const oci::Seccomp& profile, const fs::path& cache_dir) {
  const std::string key = key_of(profile);
  char name[32];
  std::snprintf(name, sizeof name, "%016llx.bpf", static_cast<unsigned long long>(hash_of(key)));
  const fs::path file = cache_dir / name;
  try {
    if (auto program = find_cached(file, key)) {
      if (program->has_listener) {  // where to, is not part of the code
        program->listener_path = profile.listener_path;
        program->listener_metadata = profile.listener_metadata;
      }
      return *std::move(program);
    }
  } catch (const base::Error& error) {
    base::trace("runtime", std::string("seccomp cache not readable: ") + error.what());
  }
  SeccompProgram program = compile_seccomp(profile);
  try {
    store(file, encode(key, program));
  } catch (const base::Error& error) {
    base::trace("runtime", std::string("seccomp cache not writable: ") + error.what());
  }
  return program;
}

}  // namespace runtime
