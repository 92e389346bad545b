#include "engine/image_changes.h"

#include <string>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

oci::ImageConfig changed(const std::string& instruction, oci::ImageConfig config = {}) {
  apply_change(instruction, config);
  return config;
}

TEST(ImageChanges, Commands) {
  EXPECT_THAT(changed("CMD [\"a\", \"b c\"]").cmd, ElementsAre("a", "b c"));
  EXPECT_THAT(changed("cmd a \"b\"").cmd, ElementsAre("/bin/sh", "-c", "a \"b\""));
  EXPECT_THAT(changed("CMD", {.cmd = {"x"}}).cmd, IsEmpty());
  EXPECT_THAT(changed("CMD x", {.shell = {"/bin/ash", "-e"}}).cmd,
              ElementsAre("/bin/ash", "-e", "x"));
  EXPECT_THAT(changed("ENTRYPOINT []", {.entrypoint = {"x"}}).entrypoint, IsEmpty());
}

TEST(ImageChanges, PairsAndSets) {
  EXPECT_THAT(changed("ENV A=1 B=\"x y\" C=a\\ b D='\\'", {.env = {"A=0", "Z=z"}}).env,
              ElementsAre("A=1", "Z=z", "B=x y", "C=a b", "D=\\"));
  EXPECT_THAT(changed("ENV A  spaced out ").env, ElementsAre("A=spaced out"));
  EXPECT_EQ(changed("LABEL a=b \"c d\"=e").labels.at("c d"), "e");
  EXPECT_THAT(changed("EXPOSE 81 80-81/TCP 53/udp").exposed_ports,
              ElementsAre("53/udp", "80/tcp", "81/tcp"));
  EXPECT_THAT(changed("VOLUME /b /a", {.volumes = {"/a"}}).volumes, ElementsAre("/a", "/b"));
}

TEST(ImageChanges, SingleValues) {
  EXPECT_EQ(changed("USER app:app").user, "app:app");
  EXPECT_EQ(changed("WORKDIR /a/../b/").working_dir, "/b");
  EXPECT_EQ(changed("WORKDIR c", {.working_dir = "/a"}).working_dir, "/a/c");
  EXPECT_THAT(changed("ONBUILD COPY . /x").on_build, ElementsAre("COPY . /x"));
}

TEST(ImageChanges, RefusalsInDockersWords) {
  constexpr std::pair<const char*, const char*> kRows[] = {
      {"RUN x", "run is not a valid change command"},
      {"", " is not a valid change command"},
      {"ENV A", "ENV must have two arguments"},
      {"ENV A=b F", "Syntax error - can't find = in \"F\". Must be of the form: name=value"},
      {"ENV =b", "ENV names can not be blank"},
      {"LABEL x", "LABEL must have two arguments"},
      {"EXPOSE abc", "Invalid containerPort: abc"},
      {"EXPOSE 1/xyz", "Invalid proto: xyz"},
      {"EXPOSE 9-1", "Invalid containerPort: 9-1"},
      {"USER", "USER requires exactly one argument"},
      {"WORKDIR", "WORKDIR requires exactly one argument"},
      {"ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
      {"ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"},
      {"ENV A=\"b", "unexpected end of statement while looking for matching quote"},
  };
  for (const auto& [instruction, words] : kRows) {
    SCOPED_TRACE(instruction);
    try {
      changed(instruction);
      ADD_FAILURE() << "not refused";
    } catch (const base::Error& error) {
      EXPECT_STREQ(error.what(), words);
    }
  }
}

TEST(ImageChanges, WhatTheContainerWasToldCounts) {
  ContainerOptions options;
  options.command = {"run", "me"};
  options.env = {"A=2", "GONE"};
  options.user = "7";
  options.labels = {{"k", "v"}};
  options.ports = {{.container_port = 80}};
  const oci::ImageConfig config = config_of_container(
      {.env = {"A=1", "GONE=x", "B=3"}, .entrypoint = {"e"}, .cmd = {"c"}}, options);
  EXPECT_THAT(config.cmd, ElementsAre("run", "me"));
  EXPECT_THAT(config.entrypoint, ElementsAre("e"));
  EXPECT_THAT(config.env, ElementsAre("A=2", "B=3"));
  EXPECT_EQ(config.user, "7");
  EXPECT_EQ(config.labels.at("k"), "v");
  EXPECT_THAT(config.exposed_ports, ElementsAre("80/tcp"));
  options.entrypoint = std::vector<std::string>{"mine"};
  options.command.clear();
  EXPECT_THAT(config_of_container({.cmd = {"c"}}, options).cmd, IsEmpty());
}

}  // namespace
}  // namespace engine
