#include "runtime/criu_rpc.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace runtime {
namespace {

using namespace std::string_view_literals;

// Bytes worked out by hand from the format's description.
TEST(CriuMessage, HasTheFormOfProtocolBuffers) {
  CriuMessage pair;
  pair.add(1, "net"sv);
  pair.add(2, std::uint64_t{300});
  EXPECT_EQ(pair.bytes(), "\x0a\x03net\x10\xac\x02"sv);
  CriuMessage whole;
  whole.add(27, pair);
  whole.add(1, std::uint64_t{0});
  EXPECT_EQ(whole.bytes(), "\xda\x01\x08\x0a\x03net\x10\xac\x02\x08\x00"sv);
}

TEST(CriuAnswer, IsRead) {
  const CriuAnswer restored = parse_criu_answer("\x08\x02\x10\x01\x22\x03\x08\xd2\x09"sv);
  EXPECT_EQ(restored.action, 2U);
  EXPECT_TRUE(restored.success);
  EXPECT_EQ(restored.restored, 1234);
  // With fields of every kind that we do not know.
  const CriuAnswer notice = parse_criu_answer(
      "\x08\x06\x10\x01\x2a\x08\x0a\x04"
      "dump\x10\x07\xf9\x01"
      "12345678\xfd\x01"
      "1234\xf2\x01\x01x"sv);
  EXPECT_EQ(notice.moment, "dump");
  EXPECT_EQ(notice.pid, 7);
  EXPECT_EQ(parse_criu_answer("\x08\x01\x10\x00\x4a\x02no"sv).error, "no");
  EXPECT_FALSE(parse_criu_answer("").success);
}

TEST(CriuAnswer, WhatIsBrokenIsRefused) {
  for (const std::string_view bytes :
       {"\x08"sv, "\x08\x80"sv, "\x22\x7f\x08"sv, "\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv,
        "\x0b"sv, "\x09\x00"sv, "\x0d\x00"sv, "\x2a\x03\x0a\x09x"sv,
        "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv}) {
    EXPECT_THROW(parse_criu_answer(bytes), base::Error) << bytes.size();
  }
}

}  // namespace
}  // namespace runtime
