#include <cerrno>
#include <cstring>
#include <elf.h>

#include <gtest/gtest.h>

#include "runtime/launch.h"

namespace runtime {
namespace {

using base::ErrorKind;

Report report_of(StepKind kind, int error, const std::string& detail = {}) {
  Report report;
  report.step = 13;
  report.step_kind = kind;
  report.error = error;
  report.size = static_cast<std::uint32_t>(std::min(detail.size(), sizeof report.detail));
  std::memcpy(report.detail, detail.data(), report.size);
  return report;
}

Step step_of(StepKind kind, const std::string& target) {
  Step step{.kind = kind};
  step.target = target;
  return step;
}

std::string text_of(StepKind kind, int error, const std::string& target,
                    const std::string& detail = {}) {
  return step_failure(report_of(kind, error, detail), step_of(kind, target)).what();
}

TEST(StepFailure, NamesStepThingAndCause) {
  EXPECT_EQ(text_of(StepKind::kRootOverlay, EINVAL, "/", "e overlay: wrong layer\n"),
            "step 14, mount overlay on /: Invalid argument (overlay: wrong layer)");
  EXPECT_EQ(text_of(StepKind::kWorkingDir, ENOENT, "/x"),
            "step 14, change to directory /x: No such file or directory");
  EXPECT_EQ(
      text_of(StepKind::kWorkingDir, EXDEV, "/x"),
      "step 14, change to directory /x: Invalid cross-device link: the directory is outside of "
      "the container's root");
}

TEST(StepFailure, KeepsControlCharactersOut) {
  const std::string text = text_of(StepKind::kMount, EINVAL, "/x", "e bad\x1b[2Jthing\n");
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(StepFailure, ProgramsThatAreNotFound) {
  EXPECT_EQ(text_of(StepKind::kFindProgram, ENOENT, "foo"),
            "exec: \"foo\": executable file not found in $PATH");
  EXPECT_EQ(text_of(StepKind::kFindProgram, ENOENT, "/foo"),
            "exec: \"/foo\": stat /foo: no such file or directory");
  EXPECT_EQ(text_of(StepKind::kFindProgram, EACCES, "/foo"), "exec: \"/foo\": permission denied");
  const Step step = step_of(StepKind::kFindProgram, "foo");
  EXPECT_EQ(step_failure(report_of(step.kind, ENOENT), step).kind(), ErrorKind::kCommandNotFound);
  EXPECT_EQ(step_failure(report_of(step.kind, EISDIR), step).kind(),
            ErrorKind::kCommandNotRunnable);
}

TEST(StepFailure, InterpretersOfScripts) {
  const std::pair<const char*, const char*> cases[] = {
      {"#!/bin/bash\n", "its interpreter \"/bin/bash\": "},
      {"#!  /usr/bin/env python3\n", "its interpreter \"/usr/bin/env\": "},
      {"#!/bin/sh", "its interpreter \"/bin/sh\": "},
      {"#!   ", ""},
      {"", ""}};
  for (const auto& [head, words] : cases) {
    EXPECT_EQ(text_of(StepKind::kExec, ENOENT, "/s", head),
              std::string("exec /s: ") + words + "no such file or directory");
  }
  EXPECT_EQ(text_of(StepKind::kExec, ENOENT, "/s", "#!/bin/sh\r\n"),
            "exec /s: its interpreter \"/bin/sh\": no such file or directory: the script has "
            "Windows line endings (CRLF), which become part of that name");
}

std::string elf_head(std::uint16_t machine, const std::string& interpreter, std::uint64_t offset) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_machine = machine;
  header.e_phoff = sizeof header;
  header.e_phnum = 1;
  Elf64_Phdr segment = {};
  segment.p_type = PT_INTERP;
  segment.p_offset = offset;
  segment.p_filesz = ~0ULL;
  std::string head(reinterpret_cast<const char*>(&header), sizeof header);
  head.append(reinterpret_cast<const char*>(&segment), sizeof segment);
  return head + interpreter;
}

TEST(StepFailure, LoadersAndMachinesOfPrograms) {
  const std::string head =
      elf_head(EM_AARCH64, "/lib/ld.so", sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr));
  EXPECT_EQ(text_of(StepKind::kExec, ENOENT, "/p", head),
            "exec /p: its interpreter \"/lib/ld.so\": no such file or directory");
  EXPECT_EQ(text_of(StepKind::kExec, ENOEXEC, "/p", head).substr(0, 58),
            "exec /p: exec format error: the program is for aarch64, th");
  // Offsets that lie.
  EXPECT_EQ(text_of(StepKind::kExec, ENOENT, "/p", elf_head(EM_X86_64, "x", ~0ULL)),
            "exec /p: no such file or directory");
  std::string cut = head;
  cut.resize(sizeof(Elf64_Ehdr) + 3);
  EXPECT_EQ(text_of(StepKind::kExec, ENOENT, "/p", cut), "exec /p: no such file or directory");
}

}  // namespace
}  // namespace runtime
