#include "network/dns_message.h"

#include <random>

#include <gtest/gtest.h>

namespace network {
namespace {

Bytes query_for(const std::vector<std::string>& labels, std::uint16_t type = 1) {
  Bytes packet{0x12, 0x34, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0};
  for (const std::string& label : labels) {
    packet.push_back(static_cast<std::uint8_t>(label.size()));
    packet.insert(packet.end(), label.begin(), label.end());
  }
  for (const int byte : {0, type >> 8, type & 255, 0, 1}) {
    packet.push_back(static_cast<std::uint8_t>(byte));
  }
  return packet;
}

TEST(DnsQuery, IsReadInLowerCase) {
  const auto question = parse_dns_query(query_for({"DB", "Example", "org"}, 28));
  ASSERT_TRUE(question);
  EXPECT_EQ(question->id, 0x1234);
  EXPECT_EQ(question->name, "db.example.org");
  EXPECT_EQ(question->type, 28);
  EXPECT_EQ(question->limit, kDnsDatagram);
}

TEST(DnsQuery, OfTheRootHasNoName) {
  const auto question = parse_dns_query(query_for({}));
  ASSERT_TRUE(question);
  EXPECT_EQ(question->name, "");
}

TEST(DnsQuery, SaysHowMuchItsSenderTakes) {
  Bytes packet = query_for({"db"});
  packet[11] = 1;
  for (const int byte : {0, 0, 41, 0x10, 0x00, 0, 0, 0, 0, 0, 0}) {
    packet.push_back(static_cast<std::uint8_t>(byte));
  }
  EXPECT_EQ(parse_dns_query(packet)->limit, 1232U);
  packet[packet.size() - 8] = 0x00;  // 0: less than everybody takes
  EXPECT_EQ(parse_dns_query(packet)->limit, kDnsDatagram);
}

TEST(DnsQuery, WhatIsNoneIsRefused) {
  const Bytes good = query_for({"db"});
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_dns_query(ByteSpan(good).first(size))) << size;
  }
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes packet = good;
    packet[at] = value;
    return parse_dns_query(packet);
  };
  EXPECT_FALSE(with(2, 0x81));             // an answer
  EXPECT_FALSE(with(2, 0x28));             // an update
  EXPECT_FALSE(with(5, 2));                // two questions
  EXPECT_FALSE(with(5, 0));                // none
  EXPECT_FALSE(with(12, 0xc0));            // a pointer
  EXPECT_FALSE(with(12, 64));              // a label that is too long
  EXPECT_FALSE(with(good.size() - 1, 3));  // class CHAOS
  EXPECT_FALSE(parse_dns_query(query_for(std::vector<std::string>(40, "sevenxx"))));
}

// Under the sanitizers this is a small fuzzer; tests/fuzz has a larger one for formats from
// outside.
TEST(DnsQuery, GarbageNeitherEndsNorOverrunsAnything) {
  std::mt19937 random(20240607);
  const Bytes good = query_for({"a", "service", "example"}, 28);
  for (int round = 0; round < 200'000; ++round) {
    Bytes packet = good;
    packet.resize(random() % 64);
    for (int flips = 0; flips < 6 && !packet.empty(); ++flips) {
      packet[random() % packet.size()] = static_cast<std::uint8_t>(random());
    }
    const auto question = parse_dns_query(packet);
    if (!question) continue;
    ASSERT_LE(question->end, packet.size());
    const Bytes answer = render_dns_answer(packet, *question, {IpAddress(Ipv4{1})}, 512);
    ASSERT_LE(answer.size(), 512U);
    static_cast<void>(is_dns_answer_to(packet, good, *parse_dns_query(good)));
    static_cast<void>(parse_reverse_name(question->name));
  }
}

TEST(DnsAnswer, HasTheAddressesOfTheTypeThatWasAskedFor) {
  const Bytes query = query_for({"db"});
  const auto question = parse_dns_query(query);
  const std::vector<DnsRecord> records{IpAddress(Ipv4::parse("10.208.0.2")),
                                       IpAddress(Ipv6::parse("fd00::2"))};
  const Bytes answer = render_dns_answer(query, *question, records, question->limit);
  const Bytes expected{0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 2, 'd', 'b', 0,   0, 1,
                       0,    1,    0xc0, 12,   0, 1, 0, 1, 0, 0, 0, 0, 0, 4,   10,  208, 0, 2};
  EXPECT_EQ(answer, expected);
  EXPECT_TRUE(is_dns_answer_to(answer, query, *question));
  EXPECT_FALSE(is_dns_answer_to(query, query, *question));
  EXPECT_FALSE(is_dns_answer_to(answer, query_for({"dc"}), *parse_dns_query(query_for({"dc"}))));
}

TEST(DnsAnswer, ThatIsTooLongIsMarked) {
  const Bytes query = query_for({"many"});
  const auto question = parse_dns_query(query);
  const std::vector<DnsRecord> records(100, IpAddress(Ipv4{7}));
  const Bytes answer = render_dns_answer(query, *question, records, question->limit);
  EXPECT_LE(answer.size(), 512U);
  EXPECT_EQ(answer[2] & 2, 2);
  EXPECT_EQ(answer[7], (answer.size() - query.size()) / 16);
}

TEST(DnsAnswer, NamesOfAddresses) {
  const Bytes query = query_for({"2", "0", "208", "10", "in-addr", "arpa"}, 12);
  const auto question = parse_dns_query(query);
  EXPECT_EQ(parse_reverse_name(question->name)->str(), "10.208.0.2");
  const Bytes answer =
      render_dns_answer(query, *question, {std::string("db.blue")}, question->limit);
  const std::string text(answer.end() - 9, answer.end());
  EXPECT_EQ(text, std::string("\2db\4blue\0", 9));
  EXPECT_EQ(
      parse_reverse_name("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa")
          ->str(),
      "fd00::2");
  for (const char* bad : {"", "in-addr.arpa", "1.in-addr.arpa", "x.0.208.10.in-addr.arpa",
                          "1.2.3.4.5.in-addr.arpa", "2.0.ip6.arpa", "db"}) {
    EXPECT_FALSE(parse_reverse_name(bad)) << bad;
  }
}

}  // namespace
}  // namespace network
