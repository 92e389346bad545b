// Verdicts on syscall numbers as a classic BPF program: a balanced tree of intervals.
#pragma once

#include <cstdint>
#include <vector>

#include "runtime/seccomp.h"

namespace runtime {

enum class Comparison {
  kEqual,
  kNotEqual,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kMaskedEqual
};

struct ArgumentTest {
  std::uint32_t index = 0;
  Comparison comparison = Comparison::kEqual;
  std::uint64_t value = 0;
  std::uint64_t mask = 0;  // kMaskedEqual: (argument & mask) == (value & mask)
  int bits = 64;           // 32: only the low half of argument and value counts
  friend bool operator==(const ArgumentTest&, const ArgumentTest&) = default;
};

struct ArgumentRule {
  std::vector<ArgumentTest> tests;  // all must hold
  std::uint32_t action = 0;         // SECCOMP_RET_…
  friend bool operator==(const ArgumentRule&, const ArgumentRule&) = default;
};

// What happens to one syscall: the first rule that holds, else `action`.
struct Verdict {
  std::vector<ArgumentRule> rules;
  std::uint32_t action = 0;
  friend bool operator==(const Verdict&, const Verdict&) = default;
};

// From `first` to the next interval's first, or to 0xffffffff.
struct Interval {
  std::uint32_t first = 0;
  Verdict verdict;
};

// One architecture by its audit number. Intervals ascend; the first begins at 0.
struct Section {
  std::uint32_t audit = 0;
  std::vector<Interval> intervals;
};

// Sections are tried in order; anything else gets `foreign_action`. Throws kInvalid for more than
// the 4096 instructions that the kernel takes.
std::vector<BpfInstruction> emit_program(const std::vector<Section>& sections,
                                         std::uint32_t foreign_action);

}  // namespace runtime
