// export_filter: what libseccomp makes of a context, as the instructions that ours are compared
// with.
#pragma once

#include <cstring>
#include <seccomp.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

#include "base/files.h"
#include "runtime/seccomp.h"

// Releases the context.
inline std::vector<runtime::BpfInstruction> export_filter(scmp_filter_ctx context) {
  const base::UniqueFd file(memfd_create("filter", MFD_CLOEXEC));
  EXPECT_EQ(seccomp_export_bpf(context, file.get()), 0);
  seccomp_release(context);
  lseek(file.get(), 0, SEEK_SET);
  const std::string bytes = base::read_fd(file.get());
  std::vector<runtime::BpfInstruction> code(bytes.size() / sizeof(runtime::BpfInstruction));
  std::memcpy(code.data(), bytes.data(), code.size() * sizeof(runtime::BpfInstruction));
  return code;
}
