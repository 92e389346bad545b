#include <algorithm>
#include <cerrno>
#include <cstring>
#include <elf.h>
#include <sys/utsname.h>

#include "runtime/launch.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

std::string words_of(int error) {
  char buffer[128];
  const char* const text = strerror_r(error, buffer, sizeof buffer);
  std::string words = text;
  if (!words.empty()) words[0] = static_cast<char>(std::tolower(words[0]));
  return words;
}

std::string in_quotes(const std::string& text) { return '"' + text + '"'; }

// As docker words it; tools look for these texts.
Error program_not_found(const std::string& program, int error) {
  const std::string start = "exec: " + in_quotes(program) + ": ";
  if (error == EISDIR)
    return {ErrorKind::kCommandNotRunnable, start + "is a directory: permission denied", error};
  if (error == ENOENT && program.find('/') == std::string::npos) {
    return {ErrorKind::kCommandNotFound, start + "executable file not found in $PATH", error};
  }
  if (error == ENOENT || error == ENOTDIR) {
    return {ErrorKind::kCommandNotFound, start + "stat " + program + ": " + words_of(error), error};
  }
  return {ErrorKind::kCommandNotRunnable, start + words_of(error), error};
}

// "#! /bin/sh -e" to "/bin/sh".
std::string script_interpreter(const std::string& head) {
  if (!head.starts_with("#!")) return {};
  const std::size_t begin = head.find_first_not_of(" \t", 2);
  if (begin == std::string::npos) return {};
  return head.substr(begin, head.find_first_of(" \t\r\n", begin) - begin);
}

bool has_windows_line_end(const std::string& head) {
  const std::size_t end = head.find('\n');
  return head.starts_with("#!") && end != std::string::npos && head[end - 1] == '\r';
}

// A copy of T at `offset`, or nothing where the head is too short.
template <class T>
bool read_at(const std::string& head, std::size_t offset, T& value) {
  if (offset > head.size() || head.size() - offset < sizeof value) return false;
  std::memcpy(&value, head.data() + offset, sizeof value);
  return true;
}

// What PT_INTERP of a 64-bit program names.
std::string elf_interpreter(const std::string& head) {
  Elf64_Ehdr header = {};
  if (!read_at(head, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
      header.e_ident[EI_CLASS] != ELFCLASS64) {
    return {};
  }
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment = {};
    if (!read_at(head, header.e_phoff + i * sizeof segment, segment)) return {};
    if (segment.p_type != PT_INTERP) continue;
    if (segment.p_offset >= head.size()) return {};
    const std::size_t limit =
        std::min<std::size_t>(segment.p_filesz, head.size() - segment.p_offset);
    const std::string name = head.substr(segment.p_offset, limit);
    return name.substr(0, name.find('\0'));
  }
  return {};
}

std::string machine_name(std::uint16_t machine) {
  static constexpr std::pair<std::uint16_t, const char*> kNames[] = {
      {EM_X86_64, "x86_64"}, {EM_AARCH64, "aarch64"}, {EM_386, "i386"},    {EM_ARM, "arm"},
      {EM_PPC64, "ppc64"},   {EM_S390, "s390x"},      {EM_RISCV, "riscv"}, {EM_MIPS, "mips"}};
  for (const auto& [number, name] : kNames) {
    if (number == machine) return name;
  }
  return "machine " + std::to_string(machine);
}

// Why the kernel does not know the format, as far as the head tells.
std::string format_hint(const std::string& head) {
  if (head.empty()) return ": the file is empty";
  Elf64_Ehdr header = {};
  if (!read_at(head, 0, header) || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    return head.starts_with("#!") ? ""
                                  : ": neither a program nor a script that names its interpreter";
  }
  utsname host = {};
  uname(&host);
  const std::string machine = machine_name(header.e_machine);
  if (machine == host.machine) return {};
  return ": the program is for " + machine + ", this machine is " + host.machine;
}

Error program_not_executed(const std::string& program, const Report& report) {
  const std::string head(report.detail, report.size);
  const std::string start = "exec " + program + ": ";
  if (report.error == ENOENT || report.error == ENOTDIR) {
    std::string interpreter = script_interpreter(head);
    if (interpreter.empty()) interpreter = elf_interpreter(head);
    if (has_windows_line_end(head)) {
      return {ErrorKind::kCommandNotFound,
              start + "its interpreter " + in_quotes(interpreter) + ": " + words_of(report.error) +
                  ": the script has Windows line endings (CRLF), which become part of that name",
              report.error};
    }
    const std::string what =
        interpreter.empty() ? "" : "its interpreter " + in_quotes(interpreter) + ": ";
    return {ErrorKind::kCommandNotFound, start + what + words_of(report.error), report.error};
  }
  const std::string hint = report.error == ENOEXEC ? format_hint(head) : "";
  return {ErrorKind::kCommandNotRunnable, start + words_of(report.error) + hint, report.error};
}

ErrorKind kind_of(int error) {
  try {
    base::throw_errno("", error);
  } catch (const Error& known) {
    return known.kind();
  }
}

// "e overlay: ..." of fsopen(2) without its level and newline.
std::string file_system_words(const Report& report) {
  std::string words(report.detail, report.size);
  if (words.size() > 2 && words[1] == ' ') words.erase(0, 2);
  std::replace_if(
      words.begin(), words.end(), [](unsigned char letter) { return letter < ' '; }, ' ');
  while (!words.empty() && words.back() == ' ') words.pop_back();
  return words.empty() ? words : " (" + words + ")";
}

bool changes_attributes(const Step& step) {
  return step.kind == StepKind::kBind || step.kind == StepKind::kRootBind ||
         step.kind == StepKind::kSetAttributes;
}

// What a user namespace can't take back of a mount of the host's; see mount_namespaces(7),
// "Restrictions on mount namespaces".
std::string words_of_locked(const Report& report, const Step& step) {
  std::uint64_t flags = 0;
  if (report.size != sizeof flags) return {};
  std::memcpy(&flags, report.detail, sizeof flags);
  // ST_RDONLY, ST_NOSUID, ST_NODEV and ST_NOEXEC have the numbers of MOUNT_ATTR_*.
  constexpr std::uint64_t kSameNumbers = 0xf;
  const std::uint64_t locked = flags & kSameNumbers & (step.attr_clear | step.recursive_clear);
  if (locked == 0) {
    return ": the host has locked flags of this mount, or of one below it, that a user namespace "
           "can't change";
  }
  return ": the host's mount is " + render_attributes(locked, 0) +
         ", which a user namespace can't take back: leave out " +
         in_quotes(render_attributes(0, locked));
}

// Where the bare errno would send its reader the wrong way.
std::string hint(const Report& report, const Step& step) {
  const bool mounts = report.step_kind == StepKind::kMount || report.step_kind == StepKind::kBind ||
                      report.step_kind == StepKind::kDevice;
  if (mounts && report.error == ELOOP) return ": a symbolic link is in the way";
  if (mounts && report.error == EROFS) return ": the mount point is missing in a read-only root";
  if (report.step_kind == StepKind::kBind && (report.error == ENOTDIR || report.error == EISDIR)) {
    return ": a directory and a file can't be mounted on each other";
  }
  if (report.step_kind == StepKind::kWorkingDir && report.error == EXDEV) {
    return ": the directory is outside of the container's root";
  }
  if (changes_attributes(step) && report.error == EPERM) return words_of_locked(report, step);
  return {};
}

}  // namespace

Error step_failure(const Report& report, const Step& step) {
  if (report.step_kind == StepKind::kFindProgram) {
    return program_not_found(step.target, report.error);
  }
  if (report.step_kind == StepKind::kExec) return program_not_executed(step.target, report);
  char buffer[128];
  const bool speaks = !changes_attributes(step) && report.step_kind != StepKind::kSeccomp &&
                      report.step_kind != StepKind::kCapabilities &&
                      report.step_kind != StepKind::kAmbient;
  return {kind_of(report.error),
          "step " + std::to_string(report.step + 1) + ", " + describe(step) + ": " +
              strerror_r(report.error, buffer, sizeof buffer) + hint(report, step) +
              (speaks ? file_system_words(report) : ""),
          report.error};
}

}  // namespace runtime
