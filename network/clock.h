// monotonic_now: nanoseconds that no change of the date touches; for deadlines.
#pragma once

#include <ctime>

#include "base/time.h"

namespace network {

inline base::Nanoseconds monotonic_now() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

}  // namespace network
