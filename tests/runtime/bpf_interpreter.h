// A classic BPF interpreter for seccomp filters, for tests that compare verdicts.
#pragma once

#include <cstdint>
#include <cstring>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/seccomp.h"

// What the kernel's interpreter does with a classic filter, bpf_convert_filter() aside.
inline std::uint32_t run_filter(const std::vector<runtime::BpfInstruction>& code,
                                const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  std::uint32_t x = 0;
  std::uint32_t memory[BPF_MEMWORDS] = {};
  for (std::size_t pc = 0; pc < code.size(); ++pc) {
    const runtime::BpfInstruction& one = code[pc];
    const auto jump = [&](bool yes) { pc += yes ? one.jump_true : one.jump_false; };
    switch (one.code) {
      case BPF_LD | BPF_W | BPF_ABS: {
        if (one.value % 4 != 0 || one.value + 4 > sizeof data) throw std::runtime_error("bad load");
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + one.value, 4);
        break;
      }
      case BPF_ST:
        memory[one.value] = accumulator;
        break;
      case BPF_LD | BPF_MEM:
        accumulator = memory[one.value];
        break;
      case BPF_MISC | BPF_TAX:
        x = accumulator;
        break;
      case BPF_MISC | BPF_TXA:
        accumulator = x;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= one.value;
        break;
      case BPF_JMP | BPF_JA:
        pc += one.value;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump(accumulator == one.value);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        jump(accumulator > one.value);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump(accumulator >= one.value);
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        jump((accumulator & one.value) != 0);
        break;
      case BPF_RET | BPF_K:
        return one.value;
      default:
        throw std::runtime_error("unknown instruction " + std::to_string(one.code));
    }
  }
  throw std::runtime_error("fell off the end");
}
