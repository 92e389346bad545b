// Where the kernel enters sampan-oci: before libc has relocated us, so that the start which is
// replaced by one from a read-only view (runtime::protect_self) costs a system call or two.
//
// Nothing here may need what does not exist yet: no libc, no pointers in data (they would have to
// be relocated), no stack protector (its canary is thread-local); CMakeLists.txt has the options.
// What this leaves undone, protect_self() does.
#include <asm/statfs.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>

#include "cli/oci/oci_entering.h"

#ifndef __clang__                                         // whose tools read this, too
#pragma GCC optimize("no-tree-loop-distribute-patterns")  // a loop stays one: memset(3) is libc's
#endif

#if defined(__x86_64__)
asm(R"(
  .pushsection .text
  .globl sampan_oci_entry
  .type sampan_oci_entry, @function
sampan_oci_entry:
  xor %ebp, %ebp
  mov %rsp, %rdi
  call protect_at_entry
  xor %edx, %edx
  jmp _start
  .size sampan_oci_entry, . - sampan_oci_entry
  .popsection
)");

namespace {

inline long call(long number, long a, long b, long c, long d, long e) {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  long result = number;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
               : "rcx", "r11", "memory");
  return result;
}

}  // namespace
#elif defined(__aarch64__)
asm(R"(
  .pushsection .text
  .globl sampan_oci_entry
  .type sampan_oci_entry, %function
sampan_oci_entry:
  mov x29, #0
  mov x30, #0
  mov x0, sp
  bl protect_at_entry
  mov x0, #0
  b _start
  .size sampan_oci_entry, . - sampan_oci_entry
  .popsection
)");

namespace {

inline long call(long number, long a, long b, long c, long d, long e) {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}

}  // namespace
#else
#error "no entry for this architecture: see CMakeLists.txt"
#endif

namespace {

constexpr long kReadOnly = 1;  // ST_RDONLY of statfs(2)

bool is_same(const char* left, const char* right) {
  while (*left != '\0' && *left == *right) ++left, ++right;
  return *left == *right;
}

// An option's value that reads like one costs a start from the read-only view and nothing else.
bool enters_container(const char* word) {
  for (const auto& name : cli_oci::kEnteringCommands) {
    if (is_same(word, name)) return true;
  }
  return false;
}

long of(const void* pointer) { return reinterpret_cast<long>(pointer); }

// 1 where the mount that the file lies on is read-only, 0 where not; otherwise -1.
int read_only(long statfs_result, const struct statfs& info) {
  return statfs_result != 0 ? -1 : static_cast<int>(info.f_flags & kReadOnly);
}

}  // namespace

// `stack`: as the kernel leaves it: argc, argv, a null pointer, the environment, a null pointer.
extern "C" [[gnu::used, gnu::visibility("hidden")]] void protect_at_entry(const long* stack) {
  const long count = stack[0];
  const auto* const argv = reinterpret_cast<const char* const*>(stack + 1);
  bool enters = false;
  for (long i = 1; i < count && !enters; ++i) enters = enters_container(argv[i]);
  if (!enters) return;
  constexpr char kSelf[] = "/proc/self/exe";
  struct statfs info;
  info.f_flags = 0;
  if (read_only(call(SYS_statfs, of(kSelf), of(&info), 0, 0, 0), info) != 0) return;
  // Stays open over the execve: see oci_view.h.
  const long view = call(SYS_open_tree, AT_FDCWD, of(kSelf), OPEN_TREE_CLONE, 0, 0);
  if (view < 0) return;
  mount_attr attributes;
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  attributes.attr_clr = attributes.propagation = attributes.userns_fd = 0;
  call(SYS_mount_setattr, view, of(""), AT_EMPTY_PATH, of(&attributes), sizeof attributes);
  // Only what is seen to be read-only: else we would come here again and again.
  if (read_only(call(SYS_fstatfs, view, of(&info), 0, 0, 0), info) == 1) {
    call(SYS_execveat, view, of(""), of(argv), of(argv + count + 1), AT_EMPTY_PATH);
  }
  call(SYS_close, view, 0, 0, 0, 0);
}
