// Refusals: what an action that must fail with kInvalid says.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "base/error.h"

// The text of the kInvalid error that `action` throws; empty, and a failed test, where it does not.
template <class Action>
std::string refusal_of(Action&& action) {
  try {
    action();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInvalid) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "was accepted";
  return {};
}
