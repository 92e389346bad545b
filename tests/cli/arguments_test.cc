#include "cli/arguments.h"

#include <gtest/gtest.h>

namespace {

using cli::Flag;
using cli::Syntax;
using Words = std::vector<std::string>;

struct Parsed {
  bool detach = false, tty = false, interactive = false;
  std::string name;
  std::vector<std::string> env;
  std::optional<std::string> entrypoint;
  std::optional<int> seconds;
  Words rest;

  std::vector<Flag> flags() {
    return {{"-d,--detach", "", "Run in the background", &detach},
            {"-t,--tty", "", "Allocate a pseudo-TTY", &tty},
            {"-i,--interactive", "", "Keep STDIN open", &interactive},
            {"--name", "string", "Assign a name", &name},
            {"--entrypoint", "string", "Overwrite the entrypoint", &entrypoint},
            {"--seconds", "int", "A number", &seconds},
            {"-e,--env", "list", "Set variables", &env}};
  }
};

const Syntax kRun = {.command = "run",
                     .synopsis = "IMAGE [COMMAND] [ARG...]",
                     .summary = "Run",
                     .min_arguments = 1,
                     .max_arguments = cli::kAnyNumber,
                     .flags = Syntax::Flags::kBeforeArguments};
const Syntax kRm = {.command = "rm",
                    .synopsis = "CONTAINER",
                    .summary = "Remove",
                    .min_arguments = 1,
                    .max_arguments = cli::kAnyNumber};

Parsed parse(const Syntax& syntax, const Words& words) {
  Parsed parsed;
  const auto flags = parsed.flags();
  parsed.rest = cli::parse_arguments(syntax, flags, words);
  return parsed;
}

TEST(Arguments, FlagsEndAtTheImage) {
  const Parsed parsed = parse(kRun, {"-it", "-e", "A=1", "--env=B=2", "--name", "x", "busybox",
                                     "sh", "-c", "-d", "--", "--name"});
  EXPECT_TRUE(parsed.tty);
  EXPECT_TRUE(parsed.interactive);
  EXPECT_FALSE(parsed.detach);
  EXPECT_EQ(parsed.name, "x");
  EXPECT_EQ(parsed.env, (Words{"A=1", "B=2"}));
  EXPECT_EQ(parsed.rest, (Words{"busybox", "sh", "-c", "-d", "--", "--name"}));
}

TEST(Arguments, DoubleDashBeforeTheImageIsDropped) {
  EXPECT_EQ(parse(kRun, {"-d", "--", "busybox", "-x"}).rest, (Words{"busybox", "-x"}));
}

TEST(Arguments, FlagsMayFollowArgumentsElsewhere) {
  const Parsed parsed = parse(kRm, {"a", "-d", "b", "--name=n"});
  EXPECT_TRUE(parsed.detach);
  EXPECT_EQ(parsed.rest, (Words{"a", "b"}));
}

TEST(Arguments, AValueMayLookLikeAFlag) {
  EXPECT_EQ(parse(kRun, {"-e", "-x", "busybox"}).env, Words{"-x"});
}

TEST(Arguments, AnEmptyValueIsNotAMissingFlag) {
  EXPECT_EQ(parse(kRun, {"--entrypoint", "", "busybox"}).entrypoint, "");
  EXPECT_EQ(parse(kRun, {"--entrypoint=", "busybox"}).entrypoint, "");
  EXPECT_EQ(parse(kRun, {"busybox", "--entrypoint="}).rest, (Words{"busybox", "--entrypoint="}));
  EXPECT_EQ(parse(kRun, {"busybox"}).entrypoint, std::nullopt);
}

TEST(Arguments, ASwitchTakesTrueAndFalse) {
  EXPECT_FALSE(parse(kRun, {"--detach=false", "busybox"}).detach);
  EXPECT_TRUE(parse(kRun, {"--detach=true", "busybox"}).detach);
}

void expect_usage_error(const Syntax& syntax, const Words& words, int code,
                        const std::string& text) {
  try {
    parse(syntax, words);
    ADD_FAILURE() << "no error for " << testing::PrintToString(words);
  } catch (const cli::UsageError& error) {
    EXPECT_EQ(error.exit_code(), code);
    EXPECT_NE(std::string(error.what()).find(text), std::string::npos) << error.what();
  }
}

TEST(Arguments, AShortSwitchTakesTrueAndFalseToo) {
  Parsed parsed =
      parse(kRun, {"-d=true", "-t", "-t=false", "-e", "-i=true", "-i=1", "x", "-d=false"});
  EXPECT_TRUE(parsed.detach);
  EXPECT_FALSE(parsed.tty);
  EXPECT_TRUE(parsed.interactive);
  EXPECT_EQ(parsed.env, Words{"-i=true"});
  EXPECT_EQ(parsed.rest, (Words{"x", "-d=false"}));
  parsed = parse(kRm, {"a", "-de", "-t=true", "-d=false", "--", "-i=true"});
  EXPECT_FALSE(parsed.detach);
  EXPECT_FALSE(parsed.tty);
  EXPECT_EQ(parsed.env, Words{"-t=true"});
  EXPECT_EQ(parsed.rest, (Words{"a", "-i=true"}));
  EXPECT_THROW(parse(kRm, {"-x=true", "a"}), cli::UsageError);
}

TEST(Arguments, MistakesHaveDockersWordsAndCodes) {
  expect_usage_error(kRun, {"--detahc", "busybox"}, 125,
                     "unknown flag: --detahc (did you mean --detach?)");
  expect_usage_error(kRun, {"-z", "busybox"}, 125, "unknown shorthand flag: 'z' in -z");
  expect_usage_error(kRm, {"a", "--bogus"}, 125, "unknown flag: --bogus");
  expect_usage_error(kRun, {}, 1, "\"sampan run\" requires at least 1 argument.");
  expect_usage_error(kRun, {"--name"}, 125, "flag needs an argument: --name");
  expect_usage_error(kRun, {"--seconds", "x", "busybox"}, 125,
                     "invalid argument \"x\" for \"--seconds\" flag: invalid syntax");
}

TEST(Arguments, HelpListsEveryFlag) {
  Parsed parsed;
  const auto flags = parsed.flags();
  try {
    cli::parse_arguments(kRun, flags, {"--help"});
    FAIL() << "no help";
  } catch (const cli::HelpRequest& request) {
    const std::string text = request.what();
    EXPECT_EQ(text.rfind("Usage:  sampan run IMAGE [COMMAND] [ARG...]\n\nRun\n\nOptions:\n", 0), 0U)
        << text;
    EXPECT_NE(text.find("  -d, --detach              Run in the background\n"), std::string::npos)
        << text;
    EXPECT_NE(text.find("      --name string         Assign a name\n"), std::string::npos) << text;
  }
}

TEST(Arguments, NearestFindsATypoButNotAnything) {
  EXPECT_EQ(cli::nearest("imags", {"images", "inspect"}), "images");
  EXPECT_EQ(cli::nearest("zebra", {"images", "inspect"}), "");
}

}  // namespace
