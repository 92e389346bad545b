#include "runtime/capabilities.h"

#include <linux/capability.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

namespace {

constexpr std::uint64_t bit(int number) {
  return std::uint64_t{1} << static_cast<unsigned>(number);
}

TEST(Capabilities, NamesAndNumbersAreInverse) {
  for (int number = 0; number < runtime::kCapabilityCount; ++number) {
    const char* const name = runtime::capability_name(number);
    ASSERT_NE(name, nullptr);
    EXPECT_EQ(runtime::find_capability(name), number);
  }
  EXPECT_EQ(runtime::capability_name(-1), nullptr);
  EXPECT_EQ(runtime::capability_name(runtime::kCapabilityCount), nullptr);
  // The kernel's header as a second opinion on the order.
  EXPECT_EQ(runtime::find_capability("CAP_NET_RAW"), CAP_NET_RAW);
  EXPECT_EQ(runtime::find_capability("CAP_SYS_ADMIN"), CAP_SYS_ADMIN);
  EXPECT_EQ(runtime::find_capability("CAP_SETFCAP"), CAP_SETFCAP);
  EXPECT_EQ(runtime::find_capability("CAP_CHECKPOINT_RESTORE"), CAP_CHECKPOINT_RESTORE);
}

TEST(Capabilities, UnknownNamesAreRefused) {
  for (const char* name : {"", "CHOWN", "cap_chown", "CAP_CHOWN ", "CAP_FLY", "ALL"}) {
    EXPECT_EQ(runtime::find_capability(name), std::nullopt) << name;
    try {
      runtime::parse_capabilities({name});
      ADD_FAILURE() << "accepted " << name;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid);
    }
  }
}

TEST(Capabilities, MasksAndNames) {
  const std::uint64_t mask = runtime::parse_capabilities({"CAP_KILL", "CAP_CHOWN", "CAP_KILL"});
  EXPECT_EQ(mask, bit(CAP_KILL) | bit(CAP_CHOWN));
  EXPECT_THAT(runtime::capability_names(mask), testing::ElementsAre("CAP_CHOWN", "CAP_KILL"));
}

TEST(Capabilities, WhatIsNotHeldIsLeftOutEverywhere) {
  const std::vector<std::string> wanted = {"CAP_CHOWN", "CAP_SYS_RESOURCE"};
  const auto sets = runtime::plan_capabilities({.bounding = wanted,
                                                .effective = wanted,
                                                .inheritable = wanted,
                                                .permitted = wanted,
                                                .ambient = wanted},
                                               ~bit(CAP_SYS_RESOURCE));
  const std::uint64_t chown = bit(CAP_CHOWN);
  EXPECT_EQ(sets, (runtime::CapabilitySets{chown, chown, chown, chown, chown}));
}

TEST(Capabilities, EffectiveAndAmbientStayWithinTheirBounds) {
  const auto sets = runtime::plan_capabilities({.bounding = {"CAP_CHOWN"},
                                                .effective = {"CAP_CHOWN", "CAP_KILL"},
                                                .inheritable = {"CAP_KILL"},
                                                .permitted = {"CAP_CHOWN"},
                                                .ambient = {"CAP_CHOWN", "CAP_KILL"}},
                                               ~std::uint64_t{0});
  EXPECT_EQ(sets.effective, bit(CAP_CHOWN));
  EXPECT_EQ(sets.ambient, 0U);  // neither is both permitted and inheritable
}

TEST(Capabilities, HeldIsWhatTheProcessHas) {
  // No process has a capability that its kernel does not know.
  EXPECT_EQ(runtime::held_capabilities() >> 41U, 0U);
  if (geteuid() != 0) {
    EXPECT_EQ(runtime::held_capabilities(), 0U);
  }
}

}  // namespace
