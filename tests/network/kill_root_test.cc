// kill -9 in the middle of connecting and publishing: what is left dies by itself or is found.
// SAMPAN_CRASH_SEED repeats a run, SAMPAN_CRASH_ROUNDS sets its length.
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <net/if.h>
#include <random>
#include <string_view>
#include <sys/wait.h>

#include <gtest/gtest.h>

#include "network/firewall.h"
#include "tests/network/world.h"

namespace network_test {
namespace {

constexpr int kRounds = 60;
constexpr int kLongestMicroseconds = 6000;  // a few starts: a kill hits any part of one
const Ipv4 kAny{0};

std::vector<std::string> list_pairs() {
  std::vector<std::string> names;
  struct if_nameindex* const links = if_nameindex();
  for (const struct if_nameindex* link = links; link != nullptr && link->if_name != nullptr;
       ++link) {
    if (std::string_view(link->if_name).starts_with("ve")) names.emplace_back(link->if_name);
  }
  if_freenameindex(links);
  return names;
}

class Kill : public World {
 protected:
  // A container's life up to its published ports, again and again.
  [[noreturn]] void start_for_ever() {
    for (unsigned round = 1;; ++round) {
      const unsigned number = 1 + round % 3;
      const Endpoint wanted =
          endpoint(id_of(round * 0x1234567U), address_of(number), ports_of(number));
      network::ensure_bridge(config_);
      const UniqueFd inside = new_network();
      network::connect(config_, wanted, inside.get());
      network::publish(config_, wanted);
      network::unpublish(config_, wanted);
    }
  }

  static std::vector<PublishedPort> ports_of(unsigned number) {
    const auto port = static_cast<std::uint16_t>(8000 + number);
    return {{kAny, port, 80, Protocol::kTcp}, {kAny, port, 53, Protocol::kUdp}};
  }

  void kill_after(int microseconds) {
    const pid_t child = fork();
    base::check(child, "fork");
    if (child == 0) {
      try {
        start_for_ever();
      } catch (const base::Error& error) {
        std::fprintf(stderr, "%s\n", error.what());
      }
      _exit(1);
    }
    usleep(static_cast<useconds_t>(microseconds));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child failed before it was killed";
  }

  // What an engine's next command does for owners that do not run.
  void sweep() {
    for (const Endpoint& left : network::list_published(config_)) {
      network::unpublish(config_, left);
    }
  }
};

TEST_F(Kill, LeavesNothingBeyondTheNextCommand) {
  const char* const given = getenv("SAMPAN_CRASH_SEED");
  const auto seed = given != nullptr ? static_cast<unsigned>(std::strtoul(given, nullptr, 10))
                                     : std::random_device()();
  const char* const rounds = getenv("SAMPAN_CRASH_ROUNDS");
  std::printf("SAMPAN_CRASH_SEED=%u\n", seed);
  std::mt19937 random(seed);
  const int count = rounds != nullptr ? std::atoi(rounds) : kRounds;
  int left_elements = 0;
  // Some kill has to come between publishing and its end, or the test has shown nothing.
  const auto goes_on = [&](int round) {
    return round < count || (left_elements == 0 && round < 20 * count);
  };
  for (int round = 0; goes_on(round) && !HasFailure(); ++round) {
    SCOPED_TRACE("round " + std::to_string(round) + " of seed " + std::to_string(seed));
    kill_after(static_cast<int>(random() % kLongestMicroseconds));
    left_elements += network::list_published(config_).empty() ? 0 : 1;
    sweep();
    EXPECT_TRUE(network::list_published(config_).empty());
    // The pairs go with their namespaces, a moment later.
    for (int i = 0; i < 300 && !list_pairs().empty(); ++i) usleep(10'000);
    EXPECT_EQ(list_pairs(), std::vector<std::string>());
    network::ensure_bridge(config_);
    network::Netlink netfilter(network::Netlink::Bus::kNetfilter);
    EXPECT_TRUE(network::is_firewall_in_place(netfilter, config_, network::plan_firewall(config_)));
    const Endpoint next = endpoint(id_of(1), address_of(1), ports_of(1));
    const UniqueFd inside = new_network();
    network::connect(config_, next, inside.get());
    network::publish(config_, next);
    network::unpublish(config_, next);
  }
  EXPECT_GT(left_elements, 0);
}

}  // namespace
}  // namespace network_test
