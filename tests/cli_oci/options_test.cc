#include <gtest/gtest.h>

#include "base/error.h"
#include "cli/oci/oci_options.h"

namespace cli_oci {
namespace {

using Words = std::vector<std::string>;

struct Values {
  std::string bundle, id, signal = "TERM", format = "table";
  Words env, rest;
  bool tty = false;
  int count = 0;
  std::optional<std::int64_t> idle;
};

Options make_options(Values& values) {
  Options options("try", "For this test");
  options.add("-b,--bundle", &values.bundle, "A directory");
  options.add("-e,--env", &values.env, "NAME=VALUE");
  options.add("-t,--tty", &values.tty, "A terminal");
  options.add("--count", &values.count, "So many").between(0, 10);
  options.add("--idle", &values.idle, "0 or 1");
  options.add("-f,--format", &values.format, "How").one_of({"table", "json"});
  return options;
}

Options with_words(Values& values) {
  Options options = make_options(values);
  options.add_word("ID", values.id);
  options.add_optional_word("SIGNAL", values.signal);
  return options;
}

std::string refusal(const Words& words) {
  Values values;
  try {
    with_words(values).parse(words);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid);
    return error.what();
  }
  return "accepted";
}

TEST(Options, ValuesGoWhereTheyBelong) {
  Values values;
  EXPECT_TRUE(with_words(values).parse(
      {"-b", "x y", "one", "--env=A=1", "-eB=2", "--tty", "--count", "7", "--idle", "-1", "KILL"}));
  EXPECT_EQ(values.bundle, "x y");
  EXPECT_EQ(values.env, (Words{"A=1", "B=2"}));
  EXPECT_TRUE(values.tty);
  EXPECT_EQ(values.count, 7);
  EXPECT_EQ(values.idle, -1);
  EXPECT_EQ(values.id, "one");
  EXPECT_EQ(values.signal, "KILL");
  EXPECT_EQ(values.format, "table");
}

TEST(Options, AFlagCanBeTakenBack) {
  Values values{.tty = true};
  EXPECT_TRUE(with_words(values).parse({"--tty=false", "one"}));
  EXPECT_FALSE(values.tty);
  EXPECT_EQ(refusal({"--tty=perhaps", "one"}), "--tty \"perhaps\": not true or false");
}

TEST(Options, WhatFollowsTwoDashesAreWords) {
  Values values;
  EXPECT_TRUE(with_words(values).parse({"--", "--tty", "-b"}));
  EXPECT_EQ(values.id, "--tty");
  EXPECT_EQ(values.signal, "-b");
  EXPECT_FALSE(values.tty);
}

TEST(Options, TheRestKeepsItsOptions) {
  Values values;
  Options options = make_options(values);
  options.take_rest("ID COMMAND", values.rest);
  EXPECT_TRUE(options.parse({"-t", "one", "ls", "-b", "--tty"}));
  EXPECT_TRUE(values.tty);
  EXPECT_EQ(values.rest, (Words{"one", "ls", "-b", "--tty"}));
  EXPECT_THROW(options.parse({"-t"}), base::Error);
}

TEST(Options, RefusesByName) {
  EXPECT_EQ(refusal({}), "ID is required");
  EXPECT_EQ(refusal({"a", "b", "c"}), "\"c\" was not expected");
  EXPECT_EQ(refusal({"--nothing", "a"}), "\"--nothing\" was not expected");
  EXPECT_EQ(refusal({"-z", "a"}), "\"-z\" was not expected");
  EXPECT_EQ(refusal({"a", "--bundle"}), "--bundle needs a value");
  EXPECT_EQ(refusal({"--count", "x", "a"}), "--count \"x\": not a number that fits");
  EXPECT_EQ(refusal({"--count", "11", "a"}), "--count \"11\": not between 0 and 10");
  EXPECT_EQ(refusal({"-f", "xml", "a"}), "--format \"xml\": not one of table, json");
}

TEST(Options, HelpNamesEverything) {
  Values values;
  Options options = with_words(values);
  EXPECT_FALSE(options.parse({"--bundle", "x", "-h"}));
  const std::string help = options.help();
  EXPECT_NE(help.find("Usage: sampan-oci try [OPTIONS] ID [SIGNAL]\n"), std::string::npos) << help;
  EXPECT_NE(help.find("  -f,--format TEXT            How (table, json)\n"), std::string::npos)
      << help;
}

}  // namespace
}  // namespace cli_oci
