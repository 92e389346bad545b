#include "runtime/seccomp.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <linux/seccomp.h>
#include <map>
#include <optional>
#include <set>

#include "base/error.h"
#include "runtime/name_lists.h"
#include "runtime/seccomp_emit.h"
#include "runtime/seccomp_numbers.h"

namespace runtime {
namespace {

struct Action {
  const char* name;
  std::uint32_t value;
  bool takes_errno;
};
constexpr Action kActions[] = {
    {"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false},
    {"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false},
    {"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false},
    {"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false},
    {"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true},
    {"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
    {"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false},
    {"SCMP_ACT_LOG", SECCOMP_RET_LOG, false},
    {"SCMP_ACT_NOTIFY", SECCOMP_RET_USER_NOTIF, false},
};

struct Operator {
  const char* name;
  Comparison comparison;
};
constexpr Operator kOperators[] = {
    {"SCMP_CMP_NE", Comparison::kNotEqual},           {"SCMP_CMP_LT", Comparison::kLess},
    {"SCMP_CMP_LE", Comparison::kLessOrEqual},        {"SCMP_CMP_EQ", Comparison::kEqual},
    {"SCMP_CMP_GE", Comparison::kGreaterOrEqual},     {"SCMP_CMP_GT", Comparison::kGreater},
    {"SCMP_CMP_MASKED_EQ", Comparison::kMaskedEqual},
};

// Newer than Debian 12's <linux/seccomp.h>.
constexpr std::uint32_t kWaitKillable = 1U << 5U;  // SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV

struct Flag {
  const char* name;
  std::uint32_t value;
};
constexpr Flag kFlags[] = {
    {"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
    {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
    {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
    {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", kWaitKillable},
};

[[noreturn]] void throw_bad_profile(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, "seccomp: " + text);
}

template <class Table>
const auto& entry_of(const Table& table, const std::string& name, const char* what) {
  for (const auto& entry : table) {
    if (name == entry.name) return entry;
  }
  throw_bad_profile(std::string("unknown ") + what + " \"" + name + "\"");
}

std::uint32_t parse_action(const std::string& name,
                           const std::optional<std::uint32_t>& errno_value) {
  const Action& action = entry_of(kActions, name, "action");
  if (!action.takes_errno) {
    if (errno_value && *errno_value != 0)
      throw_bad_profile("errnoRet with action \"" + name + "\"");
    return action.value;
  }
  const std::uint32_t value = errno_value.value_or(EPERM);
  if (value > SECCOMP_RET_DATA) throw_bad_profile("errnoRet " + std::to_string(value));
  return action.value | value;
}

std::uint32_t parse_flags(const std::vector<std::string>& names) {
  // Without an opinion in the profile, as runc: no speculation barriers that nobody asked for.
  if (names.empty()) return SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  std::uint32_t flags = 0;
  for (const std::string& name : names) flags |= entry_of(kFlags, name, "flag").value;
  return flags;
}

ArgumentTest parse_test(const oci::SyscallArgument& argument, int bits) {
  if (argument.index > 5) throw_bad_profile("argument index " + std::to_string(argument.index));
  ArgumentTest test{.index = argument.index,
                    .comparison = entry_of(kOperators, argument.op, "operator").comparison,
                    .value = argument.value,
                    .mask = 0,
                    .bits = bits};
  if (test.comparison == Comparison::kMaskedEqual) {
    test.mask = argument.value;
    test.value = argument.value_two;
  }
  return test;
}

// All arguments must hold, except that two tests of one argument make a rule each, any of which
// suffices: profiles in use rely on it since libseccomp could not do better (runc's
// matchCall, "multiple arguments").
std::vector<std::vector<ArgumentTest>> parse_tests(
    const std::vector<oci::SyscallArgument>& arguments, int bits) {
  std::vector<ArgumentTest> tests;
  tests.reserve(arguments.size());
  std::set<std::uint32_t> indexes;
  for (const oci::SyscallArgument& argument : arguments) {
    tests.push_back(parse_test(argument, bits));
    indexes.insert(argument.index);
  }
  if (indexes.size() == tests.size()) return {tests};
  std::vector<std::vector<ArgumentTest>> rules;
  for (const ArgumentTest& test : tests) rules.push_back({test});
  return rules;
}

bool is_permissive(std::uint32_t action) {
  const std::uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
  return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

// What a call that is newer than all the profile names gets. Programs try a new call first and fall
// back on ENOSYS but not on EPERM, so a default of "denied" says ENOSYS; a default that lets calls
// through or asks a tracer stays. So does runc.
std::uint32_t action_for_newer(std::uint32_t default_action) {
  return is_permissive(default_action) ? default_action : SECCOMP_RET_ERRNO | ENOSYS;
}

// The verdicts of one architecture while rules come in.
class Table {
 public:
  Table(const SeccompArchitecture& architecture, std::uint32_t default_action)
      : architecture_(architecture), default_action_(default_action) {}

  void add(const oci::SyscallRule& rule, std::uint32_t action) {
    for (const std::string& name : rule.names) {
      for (const SyscallNumber& number : find_syscall_numbers(architecture_, name)) {
        if (!number.multiplexed) {
          newest_ = std::max(newest_, std::optional<std::uint32_t>(number.number));
        }
        if (action != default_action_) add_number(number, rule.args, action);
      }
    }
  }

  std::optional<std::uint32_t> newest() const { return newest_; }

  // Ascending from `first` on; the caller says what numbers without rule get.
  void append_intervals(std::vector<Interval>& intervals, std::uint32_t first) const {
    const Verdict standard{.rules = {}, .action = default_action_};
    append(intervals, first, standard);
    for (const auto& [number, entry] : entries_) {
      Verdict verdict = standard;
      if (entry.unconditional) {
        verdict.action = *entry.unconditional;
      } else {
        verdict.rules = entry.rules;
      }
      append(intervals, number, verdict);
      append(intervals, number + 1, standard);
    }
  }

  static void append(std::vector<Interval>& intervals, std::uint32_t first,
                     const Verdict& verdict) {
    if (!intervals.empty() && intervals.back().first == first) intervals.pop_back();
    if (!intervals.empty() && intervals.back().verdict == verdict) return;
    intervals.push_back({.first = first, .verdict = verdict});
  }

 private:
  // An unconditional rule takes precedence over conditional ones whatever their order, and the
  // first of several is kept: libseccomp's ways.
  struct Entry {
    std::vector<ArgumentRule> rules;
    std::optional<std::uint32_t> unconditional;
  };

  void add_number(const SyscallNumber& number, const std::vector<oci::SyscallArgument>& arguments,
                  std::uint32_t action) {
    Entry& entry = entries_[number.number];
    if (number.multiplexed) {
      add_multiplexed(entry, number.call, arguments, action);
    } else if (arguments.empty()) {
      if (!entry.unconditional) entry.unconditional = action;
    } else {
      for (auto& tests : parse_tests(arguments, architecture_.argument_bits)) {
        add_rule(entry, std::move(tests), action);
      }
    }
  }

  // The call's own arguments are in memory, where a filter can't look. So a conditional denial
  // denies the call whatever they are; a conditional permission tests the registers as libseccomp
  // does, which hold a pointer and rubbish, and thus hardly ever permits.
  void add_multiplexed(Entry& entry, std::uint32_t call,
                       const std::vector<oci::SyscallArgument>& arguments, std::uint32_t action) {
    const ArgumentTest is_call{
        .index = 0, .comparison = Comparison::kEqual, .value = call, .mask = 0, .bits = 32};
    if (arguments.empty() || !is_permissive(action)) return add_rule(entry, {is_call}, action);
    for (std::vector<ArgumentTest>& tests : parse_tests(arguments, architecture_.argument_bits)) {
      std::erase_if(tests, [](const ArgumentTest& test) { return test.index == 0; });
      tests.insert(tests.begin(), is_call);
      add_rule(entry, std::move(tests), action);
    }
  }

  static void add_rule(Entry& entry, std::vector<ArgumentTest> tests, std::uint32_t action) {
    for (const ArgumentRule& old : entry.rules) {
      if (old.tests == tests) return;
    }
    entry.rules.push_back({.tests = std::move(tests), .action = action});
  }

  SeccompArchitecture architecture_;
  std::uint32_t default_action_;
  std::map<std::uint32_t, Entry> entries_;
  std::optional<std::uint32_t> newest_;
};

std::vector<SeccompArchitecture> parse_architectures(const std::vector<std::string>& names) {
  std::vector<SeccompArchitecture> architectures = {native_seccomp_architecture()};
  for (const std::string& name : names) {
    const auto architecture = parse_seccomp_architecture(name);
    if (!architecture) continue;
    if (std::find(architectures.begin(), architectures.end(), *architecture) ==
        architectures.end()) {
      architectures.push_back(*architecture);
    }
  }
  return architectures;
}

// x86_64 and x32 have one audit number; x32's calls are those with bit 30.
Section make_section(std::uint32_t audit, const std::vector<const Table*>& tables,
                     bool has_x32_space, std::uint32_t default_action) {
  const std::uint32_t newer = action_for_newer(default_action);
  Section section{.audit = audit, .intervals = {}};
  std::uint32_t first = 0;
  for (const Table* table : tables) {
    table->append_intervals(section.intervals, first);
    if (table->newest())
      Table::append(section.intervals, *table->newest() + 1, {.rules = {}, .action = newer});
    first = kX32Bit;
  }
  // Without x32 in the profile its calls are a foreign architecture's.
  if (has_x32_space && tables.size() == 1) {
    const std::uint32_t foreign = newer == default_action ? SECCOMP_RET_KILL_THREAD : newer;
    Table::append(section.intervals, kX32Bit, {.rules = {}, .action = foreign});
  }
  return section;
}

void check_notify(const oci::Seccomp& profile, SeccompProgram& program) {
  if (profile.default_action == "SCMP_ACT_NOTIFY")
    throw_bad_profile("SCMP_ACT_NOTIFY as default action");
  for (const oci::SyscallRule& rule : profile.syscalls) {
    if (rule.action != "SCMP_ACT_NOTIFY") continue;
    // The descriptor is handed over by this call: filtering it would wait for itself.
    if (std::find(rule.names.begin(), rule.names.end(), "write") != rule.names.end()) {
      throw_bad_profile("SCMP_ACT_NOTIFY for write");
    }
    program.has_listener = true;
  }
  if (!program.has_listener) {
    program.flags &= ~kWaitKillable;  // about calls that wait for a listener; refused without one
    return;
  }
  if (profile.listener_path.empty()) throw_bad_profile("SCMP_ACT_NOTIFY without listenerPath");
  program.listener_path = profile.listener_path;
  program.listener_metadata = profile.listener_metadata;
  // One descriptor can't be for several threads' filters, seccomp(2); the process has one anyway.
  program.flags = (program.flags & ~std::uint32_t{SECCOMP_FILTER_FLAG_TSYNC}) |
                  SECCOMP_FILTER_FLAG_NEW_LISTENER;
}

}  // namespace

SeccompProgram compile_seccomp(const oci::Seccomp& profile) {
  SeccompProgram program;
  program.flags = parse_flags(profile.flags);
  const std::uint32_t default_action =
      parse_action(profile.default_action, profile.default_errno_ret);
  check_notify(profile, program);

  const std::vector<SeccompArchitecture> architectures = parse_architectures(profile.architectures);
  std::vector<Table> tables;
  tables.reserve(architectures.size());
  for (const auto& architecture : architectures) tables.emplace_back(architecture, default_action);
  for (const oci::SyscallRule& rule : profile.syscalls) {
    const std::uint32_t action = parse_action(rule.action, rule.errno_ret);
    for (const oci::SyscallArgument& argument : rule.args)
      parse_test(argument, 64);  // for its checks
    for (Table& table : tables) table.add(rule, action);
  }

  const SeccompArchitecture x32 = *parse_seccomp_architecture("SCMP_ARCH_X32");
  std::vector<Section> sections;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    if (architectures[i] == x32 && architectures[i].audit == architectures[0].audit) continue;
    const bool has_x32_space = architectures[i].audit == x32.audit;
    std::vector<const Table*> own = {&tables[i]};
    for (std::size_t j = 0; has_x32_space && j < tables.size(); ++j) {
      if (architectures[j] == x32) own.push_back(&tables[j]);
    }
    sections.push_back(make_section(architectures[i].audit, own, has_x32_space, default_action));
  }
  program.instructions = emit_program(sections, SECCOMP_RET_KILL_THREAD);
  return program;
}

std::vector<std::string> known_seccomp_actions() { return names_of(kActions); }
std::vector<std::string> known_seccomp_operators() { return names_of(kOperators); }
std::vector<std::string> known_seccomp_flags() { return names_of(kFlags); }

std::string render(const SeccompProgram& program) {
  std::string text;
  char line[64];
  for (std::size_t i = 0; i < program.instructions.size(); ++i) {
    const BpfInstruction& one = program.instructions[i];
    std::snprintf(line, sizeof line, "%4zu: %04x %3u %3u %08x\n", i, one.code, one.jump_true,
                  one.jump_false, one.value);
    text += line;
  }
  return text;
}

}  // namespace runtime
