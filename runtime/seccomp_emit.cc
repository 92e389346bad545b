#include "runtime/seccomp_emit.h"

#include <bit>
#include <cassert>
#include <cstddef>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "base/error.h"

namespace runtime {
namespace {

using Code = std::vector<BpfInstruction>;

constexpr std::uint8_t kFail = 0xff;  // a jump to the end of its rule, filled in by append_rule()

BpfInstruction load_word(std::size_t offset) {
  return {.code = BPF_LD | BPF_W | BPF_ABS, .value = static_cast<std::uint32_t>(offset)};
}

BpfInstruction jump_if(unsigned test, std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
  return {.code = static_cast<std::uint16_t>(BPF_JMP | test | BPF_K),
          .jump_true = yes,
          .jump_false = no,
          .value = value};
}

BpfInstruction jump_far(std::size_t distance) {
  return {.code = BPF_JMP | BPF_JA, .value = static_cast<std::uint32_t>(distance)};
}

BpfInstruction give(std::uint32_t action) { return {.code = BPF_RET | BPF_K, .value = action}; }

std::size_t low_half(std::uint32_t index) {
  return offsetof(seccomp_data, args) + std::size_t{index} * 8 +
         (std::endian::native == std::endian::big ? 4 : 0);
}

std::size_t high_half(std::uint32_t index) {
  return offsetof(seccomp_data, args) + std::size_t{index} * 8 +
         (std::endian::native == std::endian::big ? 0 : 4);
}

// Falls through where the masked half equals `value`.
void append_masked_half(Code& code, std::size_t offset, std::uint32_t mask, std::uint32_t value) {
  if (mask == 0) return;  // (x & 0) == 0 always holds
  code.push_back(load_word(offset));
  if (mask != 0xffffffff) code.push_back({.code = BPF_ALU | BPF_AND | BPF_K, .value = mask});
  code.push_back(jump_if(BPF_JEQ, value & mask, 0, kFail));
}

// Each test falls through where it holds and jumps to kFail where not. The high half decides alone
// unless it is equal; then the low half does.
void append_test(Code& code, const ArgumentTest& test) {
  const auto low = static_cast<std::uint32_t>(test.value);
  const auto high = static_cast<std::uint32_t>(test.value >> 32U);
  const bool wide = test.bits == 64;
  const BpfInstruction load_low = load_word(low_half(test.index));
  if (wide && test.comparison != Comparison::kMaskedEqual)
    code.push_back(load_word(high_half(test.index)));
  switch (test.comparison) {
    case Comparison::kEqual:
      if (wide) code.push_back(jump_if(BPF_JEQ, high, 0, kFail));
      code.insert(code.end(), {load_low, jump_if(BPF_JEQ, low, 0, kFail)});
      break;
    case Comparison::kNotEqual:
      if (wide) code.push_back(jump_if(BPF_JEQ, high, 0, 2));
      code.insert(code.end(), {load_low, jump_if(BPF_JEQ, low, kFail, 0)});
      break;
    case Comparison::kGreater:
    case Comparison::kGreaterOrEqual: {
      const unsigned jump = test.comparison == Comparison::kGreater ? BPF_JGT : BPF_JGE;
      if (wide)
        code.insert(code.end(), {jump_if(BPF_JGT, high, 3, 0), jump_if(BPF_JEQ, high, 0, kFail)});
      code.insert(code.end(), {load_low, jump_if(jump, low, 0, kFail)});
      break;
    }
    case Comparison::kLess:
    case Comparison::kLessOrEqual: {
      const unsigned jump = test.comparison == Comparison::kLess ? BPF_JGE : BPF_JGT;
      if (wide)
        code.insert(code.end(), {jump_if(BPF_JGT, high, kFail, 0), jump_if(BPF_JEQ, high, 0, 2)});
      code.insert(code.end(), {load_low, jump_if(jump, low, kFail, 0)});
      break;
    }
    case Comparison::kMaskedEqual:
      if (wide)
        append_masked_half(code, high_half(test.index),
                           static_cast<std::uint32_t>(test.mask >> 32U), high);
      append_masked_half(code, low_half(test.index), static_cast<std::uint32_t>(test.mask), low);
      break;
  }
}

void append_rule(Code& code, const ArgumentRule& rule) {
  Code body;
  for (const ArgumentTest& test : rule.tests) append_test(body, test);
  body.push_back(give(rule.action));
  for (std::size_t i = 0; i < body.size(); ++i) {
    // At most 6 tests of 5 instructions: the end is never out of an 8-bit jump's reach.
    const auto to_end = static_cast<std::uint8_t>(body.size() - i - 1);
    if (body[i].jump_true == kFail) body[i].jump_true = to_end;
    if (body[i].jump_false == kFail) body[i].jump_false = to_end;
  }
  code.insert(code.end(), body.begin(), body.end());
}

bool is_one_of_many(const ArgumentRule& a, const ArgumentRule& b) {
  if (a.action != b.action || a.tests.size() != 1 || b.tests.size() != 1) return false;
  const ArgumentTest& x = a.tests.front();
  const ArgumentTest& y = b.tests.front();
  return x.comparison == Comparison::kEqual && y.comparison == Comparison::kEqual &&
         x.index == y.index && x.bits == y.bits &&
         (x.bits == 32 || x.value >> 32U == y.value >> 32U);
}

// Rules that compare one argument with one value each, for the same action: the halves are loaded
// once. At most kMaxChoices, which keeps every jump short.
constexpr std::ptrdiff_t kMaxChoices = 200;

void append_choice(Code& code, const ArgumentRule* begin, const ArgumentRule* end) {
  const ArgumentTest& first = begin->tests.front();
  auto left = static_cast<std::uint8_t>(end - begin);
  if (first.bits == 64) {
    code.push_back(load_word(high_half(first.index)));
    code.push_back(jump_if(BPF_JEQ, static_cast<std::uint32_t>(first.value >> 32U), 0,
                           static_cast<std::uint8_t>(left + 2)));
  }
  code.push_back(load_word(low_half(first.index)));
  for (const ArgumentRule* rule = begin; rule != end; ++rule) {
    --left;
    const bool is_last = left == 0;
    code.push_back(jump_if(BPF_JEQ, static_cast<std::uint32_t>(rule->tests.front().value), left,
                           is_last ? 1 : 0));
  }
  code.push_back(give(begin->action));
}

Code emit_verdict(const Verdict& verdict) {
  Code code;
  const ArgumentRule* const end = verdict.rules.data() + verdict.rules.size();
  for (const ArgumentRule* rule = verdict.rules.data(); rule != end;) {
    const ArgumentRule* next = rule + 1;
    while (next != end && next - rule < kMaxChoices && is_one_of_many(*rule, *next)) ++next;
    if (next - rule > 1) {
      append_choice(code, rule, next);
    } else {
      append_rule(code, *rule);
    }
    rule = next;
  }
  code.push_back(give(verdict.action));
  return code;
}

// The syscall's number is in the accumulator.
Code emit_tree(const Interval* begin, const Interval* end) {
  if (end - begin == 1) return emit_verdict(begin->verdict);
  const Interval* const middle = begin + (end - begin) / 2;
  const Code lower = emit_tree(begin, middle);
  const Code upper = emit_tree(middle, end);
  Code code;
  if (lower.size() <= 255) {
    code.push_back(jump_if(BPF_JGE, middle->first, static_cast<std::uint8_t>(lower.size()), 0));
  } else {
    code.push_back(jump_if(BPF_JGE, middle->first, 0, 1));
    code.push_back(jump_far(lower.size()));
  }
  code.insert(code.end(), lower.begin(), lower.end());
  code.insert(code.end(), upper.begin(), upper.end());
  return code;
}

}  // namespace

std::vector<BpfInstruction> emit_program(const std::vector<Section>& sections,
                                         std::uint32_t foreign_action) {
  Code code = {load_word(offsetof(seccomp_data, arch))};
  for (const Section& section : sections) {
    assert(!section.intervals.empty() && section.intervals.front().first == 0);
    Code body = {load_word(offsetof(seccomp_data, nr))};
    const Code tree =
        emit_tree(section.intervals.data(), section.intervals.data() + section.intervals.size());
    body.insert(body.end(), tree.begin(), tree.end());
    code.push_back(jump_if(BPF_JEQ, section.audit, 1, 0));
    code.push_back(jump_far(body.size()));
    code.insert(code.end(), body.begin(), body.end());
  }
  code.push_back(give(foreign_action));
  if (code.size() > BPF_MAXINSNS) {
    throw base::Error(base::ErrorKind::kInvalid, "seccomp profile needs " +
                                                     std::to_string(code.size()) +
                                                     " instructions; the kernel takes 4096");
  }
  return code;
}

}  // namespace runtime
