#include "engine/start_hint.h"

#include <cerrno>

#include <gtest/gtest.h>

namespace {

oci::RuntimeSpec spec_of(const std::string& program, std::vector<oci::Mount> mounts) {
  oci::RuntimeSpec spec;
  spec.process.emplace();
  spec.process->args = {program};
  spec.process->cwd = "/work";
  spec.mounts = std::move(mounts);
  return spec;
}

const base::Error kRefused(base::ErrorKind::kCommandNotRunnable, "exec /t/x: permission denied",
                           EACCES);

TEST(StartHint, NamesAMountWithoutPrograms) {
  const oci::Mount tmpfs = {
      .destination = "/t", .type = "tmpfs", .source = "tmpfs", .options = {"rw", "noexec"}};
  const std::string text = engine::explain_refusal(spec_of("/t/x", {tmpfs}), kRefused).what();
  EXPECT_EQ(text, "exec /t/x: permission denied: what is mounted on /t has the option noexec");
  const std::string beside = engine::explain_refusal(spec_of("/tt/x", {tmpfs}), kRefused).what();
  EXPECT_NE(beside.find("chmod +x"), std::string::npos) << beside;
}

TEST(StartHint, KnowsTheInnermostMountAndTheLastOption) {
  const oci::Mount outer = {
      .destination = "/t", .type = "tmpfs", .source = "tmpfs", .options = {"noexec"}};
  const oci::Mount inner = {
      .destination = "/t/in", .type = "tmpfs", .source = "tmpfs", .options = {"noexec", "exec"}};
  const std::string text =
      engine::explain_refusal(spec_of("/t/in/x", {outer, inner}), kRefused).what();
  EXPECT_EQ(text.find("noexec"), std::string::npos) << text;
}

TEST(StartHint, ReadsRelativeProgramsFromTheWorkingDirectory) {
  const oci::Mount work = {
      .destination = "/work", .type = "tmpfs", .source = "tmpfs", .options = {"noexec"}};
  const std::string text = engine::explain_refusal(spec_of("./x", {work}), kRefused).what();
  EXPECT_NE(text.find("mounted on /work"), std::string::npos) << text;
}

TEST(StartHint, LeavesOtherErrorsAlone) {
  const base::Error other(base::ErrorKind::kCommandNotFound, "exec /x: no such file", ENOENT);
  EXPECT_STREQ(engine::explain_refusal(spec_of("/x", {}), other).what(), other.what());
  EXPECT_STREQ(engine::explain_refusal(spec_of("x", {}), kRefused).what(), kRefused.what());
}

}  // namespace
