#include "runtime/devices.h"

#include <algorithm>
#include <cerrno>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/unique_fd.h"

namespace runtime {
namespace {

// What no container can do without; runc appends the same. Making a node is harmless: using it is
// what needs a rule.
const std::vector<oci::DeviceRule>& always_allowed() {
  static const std::vector<oci::DeviceRule> rules = {
      {.allow = true, .type = 'c', .major = {}, .minor = {}, .access = "m"},
      {.allow = true, .type = 'b', .major = {}, .minor = {}, .access = "m"},
      {.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rwm"},    // null
      {.allow = true, .type = 'c', .major = 1, .minor = 5, .access = "rwm"},    // zero
      {.allow = true, .type = 'c', .major = 1, .minor = 7, .access = "rwm"},    // full
      {.allow = true, .type = 'c', .major = 1, .minor = 8, .access = "rwm"},    // random
      {.allow = true, .type = 'c', .major = 1, .minor = 9, .access = "rwm"},    // urandom
      {.allow = true, .type = 'c', .major = 5, .minor = 0, .access = "rwm"},    // tty
      {.allow = true, .type = 'c', .major = 5, .minor = 2, .access = "rwm"},    // ptmx
      {.allow = true, .type = 'c', .major = 136, .minor = {}, .access = "rwm"}  // pts
  };
  return rules;
}

unsigned access_bits(const std::string& access) {
  unsigned bits = 0;
  for (const char letter : access) {
    if (letter == 'r') {
      bits |= BPF_DEVCG_ACC_READ;
    } else if (letter == 'w') {
      bits |= BPF_DEVCG_ACC_WRITE;
    } else if (letter == 'm') {
      bits |= BPF_DEVCG_ACC_MKNOD;
    } else {
      throw base::Error(base::ErrorKind::kInvalid, "device access \"" + access + "\"");
    }
  }
  return bits;
}

std::string access_letters(unsigned bits) {
  std::string letters;
  if ((bits & BPF_DEVCG_ACC_READ) != 0) letters += 'r';
  if ((bits & BPF_DEVCG_ACC_WRITE) != 0) letters += 'w';
  if ((bits & BPF_DEVCG_ACC_MKNOD) != 0) letters += 'm';
  return letters;
}

bool is_same_device(const oci::DeviceRule& a, const oci::DeviceRule& b) {
  return a.type == b.type && a.major == b.major && a.minor == b.minor;
}

bool covers(const oci::DeviceRule& wide, const oci::DeviceRule& narrow) {
  return wide.type == narrow.type && (!wide.major || wide.major == narrow.major) &&
         (!wide.minor || wide.minor == narrow.minor);
}

oci::DeviceRule check_rule(oci::DeviceRule rule) {
  if (rule.major && *rule.major < 0) rule.major.reset();  // -1 is how some engines write "any"
  if (rule.minor && *rule.minor < 0) rule.minor.reset();
  if (rule.access.empty()) rule.access = "rwm";
  if (rule.type != 'a' && rule.type != 'b' && rule.type != 'c') {
    throw base::Error(base::ErrorKind::kInvalid,
                      "device rule of type '" + std::string(1, rule.type) + "'");
  }
  rule.access = access_letters(access_bits(rule.access));
  return rule;
}

// `rule` moves away from the default: its access joins what is already excepted.
void add_exception(DeviceList& list, const oci::DeviceRule& rule) {
  for (oci::DeviceRule& old : list.exceptions) {
    if (!is_same_device(old, rule)) continue;
    old.access = access_letters(access_bits(old.access) | access_bits(rule.access));
    return;
  }
  list.exceptions.push_back(rule);
}

// `rule` moves back to the default. Exceptions that it covers shrink; one that is wider than the
// rule could only be split, which neither kernel interface can say.
void remove_exception(DeviceList& list, const oci::DeviceRule& rule) {
  for (oci::DeviceRule& old : list.exceptions) {
    const unsigned common = access_bits(old.access) & access_bits(rule.access);
    if (common == 0) continue;
    if (covers(rule, old)) {
      old.access = access_letters(access_bits(old.access) & ~common);
    } else if (covers(old, rule)) {
      throw base::Error(base::ErrorKind::kInvalid, "device rule \"" + render(rule) +
                                                       "\" takes back a part of \"" + render(old) +
                                                       "\", which no cgroup can express");
    }
  }
  std::erase_if(list.exceptions, [](const oci::DeviceRule& old) { return old.access.empty(); });
}

void apply_rule(DeviceList& list, const oci::DeviceRule& rule) {
  if (rule.type == 'a') {
    if (rule.major || rule.minor || rule.access != "rwm") {
      throw base::Error(base::ErrorKind::kInvalid,
                        "device rule for all types must be for all devices and \"rwm\"");
    }
    list = {.allow_by_default = rule.allow, .exceptions = {}};
  } else if (rule.allow != list.allow_by_default) {
    add_exception(list, rule);
  } else {
    remove_exception(list, rule);
  }
}

// Registers of the program. R1 holds the context on entry, see BPF_PROG_TYPE_CGROUP_DEVICE in
// <linux/bpf.h>: struct bpf_cgroup_dev_ctx.
enum Register : std::uint8_t {
  kResult = 0,
  kContext = 1,
  kType = 2,
  kAccess = 3,
  kMajor = 4,
  kMinor = 5,
  kScratch = 6
};

std::uint64_t encode(unsigned code, unsigned destination, unsigned source, int offset,
                     std::int32_t immediate) {
  return std::uint64_t{code} | std::uint64_t{destination} << 8U | std::uint64_t{source} << 12U |
         std::uint64_t{static_cast<std::uint16_t>(offset)} << 16U |
         std::uint64_t{static_cast<std::uint32_t>(immediate)} << 32U;
}

std::uint64_t load(Register to, std::size_t offset) {
  return encode(BPF_LDX | BPF_MEM | BPF_W, to, kContext, static_cast<int>(offset), 0);
}

std::uint64_t jump_unless_equal(Register left, std::int64_t right, int offset) {
  return encode(BPF_JMP32 | BPF_JNE | BPF_K, left, 0, offset, static_cast<std::int32_t>(right));
}

void append_verdict(std::vector<std::uint64_t>& program, bool allow) {
  program.push_back(encode(BPF_ALU64 | BPF_MOV | BPF_K, kResult, 0, 0, allow ? 1 : 0));
  program.push_back(encode(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

// Falls through to the next exception unless type, numbers and access all match. With "denied by
// default" the whole access asked for must be excepted; with "allowed" any excepted bit denies.
void append_exception(std::vector<std::uint64_t>& program, const DeviceList& list,
                      const oci::DeviceRule& rule) {
  std::vector<std::uint64_t> test;
  const unsigned bits = access_bits(rule.access);
  const bool all_access = bits == (BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE | BPF_DEVCG_ACC_MKNOD);
  const int checks = 1 + (all_access ? 0 : 3) + (rule.major ? 1 : 0) + (rule.minor ? 1 : 0);
  const auto to_end = [&] { return checks + 2 - static_cast<int>(test.size()) - 1; };
  test.push_back(jump_unless_equal(
      kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, to_end()));
  if (!all_access) {
    const unsigned kept = list.allow_by_default ? bits : ~bits & 7U;
    test.push_back(encode(BPF_ALU | BPF_MOV | BPF_X, kScratch, kAccess, 0, 0));
    test.push_back(
        encode(BPF_ALU | BPF_AND | BPF_K, kScratch, 0, 0, static_cast<std::int32_t>(kept)));
    const unsigned leave = list.allow_by_default ? BPF_JEQ : BPF_JNE;
    test.push_back(encode(BPF_JMP32 | leave | BPF_K, kScratch, 0, to_end(), 0));
  }
  if (rule.major) test.push_back(jump_unless_equal(kMajor, *rule.major, to_end()));
  if (rule.minor) test.push_back(jump_unless_equal(kMinor, *rule.minor, to_end()));
  append_verdict(test, !list.allow_by_default);
  program.insert(program.end(), test.begin(), test.end());
}

long bpf(int command, bpf_attr& attributes) {
  return syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

}  // namespace

DeviceList plan_devices(const std::vector<oci::DeviceRule>& rules) {
  DeviceList list;
  for (const oci::DeviceRule& rule : rules) apply_rule(list, check_rule(rule));
  for (const oci::DeviceRule& rule : always_allowed()) {
    if (!list.allow_by_default) add_exception(list, rule);
  }
  return list;
}

std::string render(const oci::DeviceRule& rule) {
  const auto number = [](const std::optional<std::int64_t>& value) {
    return value ? std::to_string(*value) : std::string("*");
  };
  return std::string(1, rule.type) + ' ' + number(rule.major) + ':' + number(rule.minor) + ' ' +
         rule.access;
}

std::vector<std::uint64_t> compile_device_program(const DeviceList& list) {
  std::vector<std::uint64_t> program = {
      load(kType, offsetof(bpf_cgroup_dev_ctx, access_type)),
      encode(BPF_ALU | BPF_MOV | BPF_X, kAccess, kType, 0, 0),
      encode(BPF_ALU | BPF_AND | BPF_K, kType, 0, 0, 0xffff),  // low half: type; high: access
      encode(BPF_ALU | BPF_RSH | BPF_K, kAccess, 0, 0, 16),
      load(kMajor, offsetof(bpf_cgroup_dev_ctx, major)),
      load(kMinor, offsetof(bpf_cgroup_dev_ctx, minor)),
  };
  for (const oci::DeviceRule& rule : list.exceptions) append_exception(program, list, rule);
  append_verdict(program, list.allow_by_default);
  return program;
}

void attach_device_program(int cgroup_fd, const std::vector<std::uint64_t>& program) {
  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr load_attributes = {};
  load_attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load_attributes.insns = reinterpret_cast<std::uintptr_t>(program.data());
  load_attributes.insn_cnt = static_cast<std::uint32_t>(program.size());
  load_attributes.license = reinterpret_cast<std::uintptr_t>(kLicense);
  // The verifier answers EAGAIN when a signal interrupts it.
  long loaded = -1;
  for (int attempt = 0; attempt < 5; ++attempt) {
    loaded = bpf(BPF_PROG_LOAD, load_attributes);
    if (loaded >= 0 || errno != EAGAIN) break;
  }
  const base::UniqueFd fd(static_cast<int>(base::check(loaded, "load device program")));
  bpf_attr attach_attributes = {};
  attach_attributes.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  attach_attributes.attach_bpf_fd = static_cast<std::uint32_t>(fd.get());
  attach_attributes.attach_type = BPF_CGROUP_DEVICE;
  attach_attributes.attach_flags = BPF_F_ALLOW_MULTI;
  base::check(bpf(BPF_PROG_ATTACH, attach_attributes), "attach device program");
}

}  // namespace runtime
