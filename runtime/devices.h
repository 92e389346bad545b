// DeviceList: which devices a container may use, from the spec's rules; as cgroup v1 lines and as a
// BPF program for cgroup v2.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "oci/runtime_spec.h"

namespace runtime {

// The rules' net effect: everything is denied (or allowed) but the exceptions, of which no two name
// the same device. Never of type 'a'.
struct DeviceList {
  bool allow_by_default = false;
  std::vector<oci::DeviceRule> exceptions;
  friend bool operator==(const DeviceList&, const DeviceList&) = default;
};

// Later rules win, starting from "all denied" as runc does. The devices that every container has
// (null, zero, full, random, urandom, tty, ptmx, pts; mknod of any) are allowed in the end unless
// all are. Throws kInvalid for a rule that no kernel can express.
DeviceList plan_devices(const std::vector<oci::DeviceRule>& rules);

// "c 1:3 rwm", the line for devices.allow and devices.deny.
std::string render(const oci::DeviceRule& rule);

// Instructions as struct bpf_insn (8 bytes each) of a BPF_PROG_TYPE_CGROUP_DEVICE program.
std::vector<std::uint64_t> compile_device_program(const DeviceList& list);

// Loads the program and attaches it to a cgroup v2 directory beside any that is there. It lives as
// long as the directory.
void attach_device_program(int cgroup_fd, const std::vector<std::uint64_t>& program);

}  // namespace runtime
