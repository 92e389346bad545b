#include "cli/completion.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "cli/commands.h"
#include "cli/filter_keys.h"

namespace {

using cli::Candidate;
using cli::Completion;
using cli::WordKind;
using Words = std::vector<std::string>;

// A store with one thing of each kind.
std::vector<Candidate> find_fake(WordKind kind) {
  switch (kind) {
    case WordKind::kContainers:
      return {{"web", "nginx"}, {"0123456789ab", "web", true}, {"old", ""}};
    case WordKind::kContainersUp:
      return {{"web", "nginx"}};
    case WordKind::kContainersDown:
      return {{"old", ""}};
    case WordKind::kImages:
      return {{"nginx:1", ""}, {"busybox:latest", ""}};
    case WordKind::kNetworks:
      return {{"bridge", ""}, {"front", ""}};
    case WordKind::kVolumes:
      return {{"data", ""}};
    case WordKind::kSignals:
      return {{"HUP", ""}, {"TERM", ""}};
    default:
      return {};
  }
}

Completion complete(const Words& words) { return cli::complete_words(words, find_fake); }

Words words_of(const Words& typed) {
  Words words;
  for (const Candidate& one : complete(typed).candidates) words.push_back(one.word);
  std::sort(words.begin(), words.end());
  return words;
}

bool offers(const Words& typed, const std::string& word) {
  const Words words = words_of(typed);
  return std::find(words.begin(), words.end(), word) != words.end();
}

TEST(Completion, OffersTheKeysOfAFilterAndTheirValues) {
  EXPECT_EQ(words_of({"ps", "--filter", "stat"}), Words{"status="});
  EXPECT_EQ(complete({"ps", "--filter", "stat"}).space, Completion::Space::kNone);
  EXPECT_EQ(words_of({"container", "ls", "-f", "status=p"}), Words{"status=paused"});
  EXPECT_EQ(complete({"ps", "-f", "status=p"}).space, Completion::Space::kAfter);
  EXPECT_EQ(words_of({"ps", "--filter=health=un"}), Words{"--filter=health=unhealthy"});
  EXPECT_EQ(words_of({"ps", "--filter", "name="}), (Words{"name=old", "name=web"}));
  EXPECT_EQ(words_of({"ps", "--filter=network=fr"}), Words{"--filter=network=front"});
  EXPECT_EQ(words_of({"images", "-f", "since=ng"}), Words{"since=nginx:1"});
  EXPECT_EQ(words_of({"volume", "ls", "-f", "name="}), Words{"name=data"});
  EXPECT_EQ(words_of({"network", "prune", "--filter", ""}), (Words{"label!=", "label=", "until="}));
  EXPECT_EQ(words_of({"events", "-f", "type="}),
            (Words{"type=container", "type=image", "type=network", "type=volume"}));
  EXPECT_TRUE(words_of({"ps", "--filter", "bogus="}).empty());
}

TEST(Completion, KnowsTheKeysOfEveryCommandThatFilters) {
  int count = 0;
  for (const cli::Command& command : cli::commands()) {
    if (command.name.starts_with("__")) continue;
    const cli::HelpRequest help = cli::help_of(command);
    const auto is_filter = [](const cli::FlagHelp& flag) { return flag.value == "filter"; };
    const bool filters = std::any_of(help.flags().begin(), help.flags().end(), is_filter);
    EXPECT_EQ(filters, !cli::filter_keys(help.syntax().command).empty()) << command.name;
    count += filters ? 1 : 0;
  }
  EXPECT_GT(count, 8);
}

TEST(Completion, OffersEveryCommandOfTheTable) {
  for (const cli::Command& command : cli::commands()) {
    const std::string name(command.name.substr(0, command.name.find(' ')));
    EXPECT_EQ(offers({""}, name), !name.starts_with("__")) << name;
  }
  EXPECT_EQ(words_of({"pul"}), Words{"pull"});
  EXPECT_EQ(words_of({"container", "re"}), (Words{"rename", "restart"}));
  EXPECT_EQ(words_of({"help", "network", "in"}), Words{"inspect"});
}

TEST(Completion, OffersEveryFlagOfEveryCommand) {
  int flags = 0;
  for (const cli::Command& command : cli::commands()) {
    if (command.name.starts_with("__")) continue;
    Words typed;
    const std::size_t space = command.name.find(' ');
    typed.emplace_back(command.name.substr(0, space));
    if (space != std::string_view::npos) typed.emplace_back(command.name.substr(space + 1));
    typed.emplace_back("--");
    const cli::HelpRequest help = cli::help_of(command);
    for (const cli::FlagHelp& flag : help.flags()) {
      const std::string name = flag.names.substr(flag.names.find("--"));
      EXPECT_TRUE(offers(typed, name.substr(0, name.find(',')))) << command.name << " " << name;
      ++flags;
    }
  }
  EXPECT_GT(flags, 300);
}

TEST(Completion, KnowsFlagsByNameThatExist) {
  std::set<std::string> names;
  const auto add = [&](const cli::HelpRequest& help) {
    for (const cli::FlagHelp& flag : help.flags()) {
      for (std::size_t at = 0; at < flag.names.size();) {
        const std::size_t end = std::min(flag.names.find(',', at), flag.names.size());
        names.insert(flag.names.substr(at, end - at));
        at = end + 1;
      }
    }
  };
  add(cli::help_of_globals());
  for (const cli::Command& command : cli::commands()) {
    if (!command.name.starts_with("__")) add(cli::help_of(command));
  }
  for (const std::string_view name : cli::hinted_flags()) {
    EXPECT_TRUE(names.contains(std::string(name))) << name;
  }
}

TEST(Completion, ArgumentsGoByTheSynopsis) {
  EXPECT_EQ(words_of({"rm", ""}), (Words{"old", "web"}));
  EXPECT_EQ(words_of({"rm", "web", ""}), Words{"old"});
  EXPECT_EQ(words_of({"stop", ""}), Words{"web"});
  EXPECT_EQ(words_of({"start", ""}), Words{"old"});
  EXPECT_EQ(words_of({"rmi", "-f", "b"}), Words{"busybox:latest"});
  EXPECT_EQ(words_of({"network", "connect", "fr"}), Words{"front"});
  EXPECT_EQ(words_of({"network", "connect", "front", ""}), (Words{"old", "web"}));
  EXPECT_EQ(words_of({"network", "create", ""}), Words{});
  EXPECT_EQ(words_of({"volume", "rm", ""}), Words{"data"});
  EXPECT_EQ(words_of({"completion", "z"}), Words{"zsh"});
  EXPECT_EQ(words_of({"rename", "web", ""}), Words{});
}

TEST(Completion, AnIdIsOfferedWhereNoNameFits) {
  EXPECT_EQ(words_of({"rm", "01"}), Words{"0123456789ab"});
  EXPECT_EQ(words_of({"rm", "w"}), Words{"web"});
}

TEST(Completion, TheContainersCommandIsItsOwn) {
  EXPECT_EQ(words_of({"run", "-it", "--name", "x", "n"}), Words{"nginx:1"});
  EXPECT_EQ(words_of({"run", "nginx:1", "-"}), Words{});
  EXPECT_EQ(words_of({"exec", "web", ""}), Words{});
  EXPECT_EQ(words_of({"exec", "-it", "w"}), Words{"web"});
}

TEST(Completion, ValuesOfFlags) {
  EXPECT_EQ(words_of({"run", "--network", "f"}), Words{"front"});
  EXPECT_EQ(words_of({"run", "--network=f"}), Words{"--network=front"});
  EXPECT_EQ(words_of({"run", "--network", "container:"}),
            (Words{"container:old", "container:web"}));
  EXPECT_EQ(words_of({"run", "--restart", ""}),
            (Words{"always", "no", "on-failure", "unless-stopped"}));
  EXPECT_EQ(words_of({"run", "--pull", ""}), (Words{"always", "missing", "never"}));
  EXPECT_EQ(words_of({"run", "--ipc", "s"}), Words{"shareable"});
  EXPECT_EQ(words_of({"kill", "-s", ""}), (Words{"HUP", "TERM"}));
  EXPECT_EQ(words_of({"run", "--user", ""}), Words{});
  const Completion volume = complete({"run", "-v", "d"});
  ASSERT_EQ(volume.candidates.size(), 1U);
  EXPECT_EQ(volume.candidates[0].word, "data:");
  EXPECT_EQ(volume.space, Completion::Space::kNone);
  EXPECT_EQ(volume.files, Completion::Files::kAll);
}

TEST(Completion, FilesAndPathsInContainers) {
  EXPECT_EQ(complete({"load", "-i", ""}).files, Completion::Files::kAll);
  EXPECT_EQ(complete({"--root", ""}).files, Completion::Files::kDirectories);
  const Completion copy = complete({"cp", "w"});
  ASSERT_EQ(copy.candidates.size(), 1U);
  EXPECT_EQ(copy.candidates[0].word, "web:");
  EXPECT_EQ(copy.space, Completion::Space::kNone);
  EXPECT_EQ(copy.files, Completion::Files::kAll);
}

TEST(Completion, WordsBeforeTheCommand) {
  EXPECT_EQ(cli::count_global_words({"--root", "/x", "-D", "rm", ""}), 3U);
  EXPECT_EQ(words_of({"--root", "/x", "stop", ""}), Words{"web"});
  EXPECT_EQ(words_of({"--root=/x", "stop", ""}), Words{"web"});
  EXPECT_TRUE(offers({"--st"}, "--state"));
}

}  // namespace
