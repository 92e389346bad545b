// LogTarget: where the pieces of a container's output go, one after the other.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "engine/log/log_format.h"

namespace engine {

class LogTarget {
 public:
  virtual ~LogTarget() = default;
  // What can't be written is lost, never the container: no member throws for it.
  virtual void add(Stream stream, std::string_view text, base::Nanoseconds time) = 0;
  virtual void flush() = 0;
  // Work in the background, and a look at whether it is done.
  virtual bool is_busy() const { return false; }
  virtual void settle() {}
  virtual std::uint64_t lost_lines() const = 0;
};

}  // namespace engine
