// System calls of the child, which may share its parent's memory: without libc's errno.
#pragma once

#include <errno.h>
#include <sys/syscall.h>
#include <type_traits>
#include <unistd.h>

namespace runtime {

// errno of the child's last failed system call. libc's belongs to the thread, and a child that
// shares memory has the thread-local storage of its parent, which runs at the same time. A process
// has one such child at most.
inline int last_error = 0;

#if defined(__x86_64__)
inline constexpr bool kMayShareMemory = true;

inline long raw_call(long number, long a, long b, long c, long d, long e, long f) noexcept {
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  long result = number;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
inline constexpr bool kMayShareMemory = true;

inline long raw_call(long number, long a, long b, long c, long d, long e, long f) noexcept {
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory");
  return x0;
}
#else
inline constexpr bool kMayShareMemory = false;  // so the child has an errno of its own

inline long raw_call(long number, long a, long b, long c, long d, long e, long f) noexcept {
  const long result = ::syscall(number, a, b, c, d, e, f);
  return result == -1 ? -errno : result;
}
#endif

template <class Argument>
long as_word(Argument argument) noexcept {
  if constexpr (std::is_null_pointer_v<Argument>) {
    return 0;
  } else if constexpr (std::is_pointer_v<Argument>) {
    return reinterpret_cast<long>(argument);
  } else {
    return static_cast<long>(argument);
  }
}

// As syscall(2), with last_error in errno's place. Not libc's wrappers: some of them coordinate
// threads or allocate, and all that this one can do is visible here.
template <class... Arguments>
inline long call(long number, Arguments... arguments) noexcept {
  constexpr long kHighestError = 4095;
  long words[6] = {as_word(arguments)...};
  const long result = raw_call(number, words[0], words[1], words[2], words[3], words[4], words[5]);
  if (result >= 0 || result < -kHighestError) return result;
  last_error = static_cast<int>(-result);
  return -1;
}

}  // namespace runtime
