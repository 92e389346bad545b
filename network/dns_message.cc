#include "network/dns_message.h"

#include <algorithm>
#include <cctype>
#include <charconv>

#include "base/error.h"

namespace network {
namespace {

constexpr std::size_t kLongestLabel = 63;  // RFC 1035, 2.3.4
constexpr std::size_t kLongestName = 255;
constexpr std::uint16_t kClassInternet = 1;
constexpr std::uint16_t kTypeOptions = 41;  // EDNS, RFC 6891
constexpr std::uint16_t kIsAnswer = 0x8000;
constexpr std::uint16_t kOpcode = 0x7800;
constexpr std::uint16_t kTruncated = 0x0200;
constexpr std::uint16_t kWantsRecursion = 0x0100;
constexpr std::uint16_t kOffersRecursion = 0x0080;
constexpr std::size_t kLargestDatagram = 1232;  // what goes anywhere without fragments

std::uint16_t word_at(ByteSpan bytes, std::size_t offset) {
  return static_cast<std::uint16_t>(bytes[offset] << 8U | bytes[offset + 1]);
}

void put_word(Bytes& bytes, std::size_t value) {
  bytes.push_back(static_cast<std::uint8_t>(value >> 8U & 255U));
  bytes.push_back(static_cast<std::uint8_t>(value & 255U));
}

// What the client says it takes, in an OPT record right behind the question: its only additional.
std::size_t datagram_limit(ByteSpan packet, std::size_t at) {
  const bool has_one = word_at(packet, 6) == 0 && word_at(packet, 8) == 0;
  if (!has_one || word_at(packet, 10) == 0 || packet.size() < at + 5 || packet[at] != 0 ||
      word_at(packet, at + 1) != kTypeOptions) {
    return kDnsDatagram;
  }
  return std::clamp<std::size_t>(word_at(packet, at + 3), kDnsDatagram, kLargestDatagram);
}

Bytes render_head(ByteSpan query, const DnsQuestion& question, std::uint16_t flags) {
  Bytes bytes;
  put_word(bytes, question.id);
  put_word(bytes, static_cast<std::uint16_t>(kIsAnswer | kOffersRecursion |
                                             (word_at(query, 2) & kWantsRecursion) | flags));
  put_word(bytes, 1);
  for (int i = 0; i < 3; ++i) put_word(bytes, 0);
  const ByteSpan asked = query.subspan(kDnsHeader, question.end - kDnsHeader);
  bytes.insert(bytes.end(), asked.begin(), asked.end());
  return bytes;
}

Bytes encode_name(const std::string& name) {
  Bytes bytes;
  for (std::size_t start = 0; start <= name.size();) {
    const std::size_t dot = std::min(name.find('.', start), name.size());
    const std::size_t size = dot - start;
    if (size == 0 || size > kLongestLabel) return {};
    bytes.push_back(static_cast<std::uint8_t>(size));
    bytes.insert(bytes.end(), name.begin() + static_cast<std::ptrdiff_t>(start),
                 name.begin() + static_cast<std::ptrdiff_t>(dot));
    start = dot + 1;
  }
  bytes.push_back(0);
  return bytes.size() > kLongestName ? Bytes{} : bytes;
}

// Empty where the record is of another type than was asked for.
Bytes record_data(const DnsRecord& record, std::uint16_t type) {
  if (const auto* name = std::get_if<std::string>(&record)) {
    return type == static_cast<std::uint16_t>(DnsType::kPtr) ? encode_name(*name) : Bytes{};
  }
  const IpAddress& address = std::get<IpAddress>(record);
  if (type == static_cast<std::uint16_t>(DnsType::kAaaa) && address.is_v6()) {
    return {address.v6().bytes.begin(), address.v6().bytes.end()};
  }
  if (type != static_cast<std::uint16_t>(DnsType::kA) || address.is_v6()) return {};
  Bytes data;
  put_word(data, address.v4().bits >> 16U);
  put_word(data, address.v4().bits & 0xffffU);
  return data;
}

bool parse_nibbles(std::string_view digits, Ipv6& address) {
  if (digits.size() != 63) return false;
  for (std::size_t i = 0; i < 32; ++i) {
    if (i != 31 && digits[2 * i + 1] != '.') return false;
    unsigned value = 0;
    const char* const digit = digits.data() + 2 * i;
    const auto [end, error] = std::from_chars(digit, digit + 1, value, 16);
    if (error != std::errc() || end != digit + 1) return false;
    std::uint8_t& byte = address.bytes[15 - i / 2];
    byte = static_cast<std::uint8_t>(byte | (i % 2 == 0 ? value : value << 4U));
  }
  return true;
}

}  // namespace

std::optional<DnsQuestion> parse_dns_query(ByteSpan packet) {
  if (packet.size() < kDnsHeader) return {};
  const std::uint16_t flags = word_at(packet, 2);
  if ((flags & (kIsAnswer | kOpcode)) != 0 || word_at(packet, 4) != 1) return {};
  DnsQuestion question;
  question.id = word_at(packet, 0);
  std::size_t at = kDnsHeader;
  for (;;) {
    if (at >= packet.size()) return {};
    const std::size_t size = packet[at++];
    if (size == 0) break;
    // A question has nothing to point back at.
    if (size > kLongestLabel || at + size > packet.size()) return {};
    if (!question.name.empty()) question.name += '.';
    for (const std::uint8_t byte : packet.subspan(at, size)) {
      question.name += static_cast<char>(std::tolower(byte));
    }
    at += size;
    if (question.name.size() > kLongestName) return {};
  }
  if (at + 4 > packet.size() || word_at(packet, at + 2) != kClassInternet) return {};
  question.type = word_at(packet, at);
  question.end = at + 4;
  question.limit = datagram_limit(packet, question.end);
  return question;
}

Bytes render_dns_answer(ByteSpan query, const DnsQuestion& question,
                        const std::vector<DnsRecord>& records, std::size_t limit) {
  Bytes answer = render_head(query, question, 0);
  std::size_t count = 0;
  for (const DnsRecord& record : records) {
    const Bytes data = record_data(record, question.type);
    if (data.empty()) continue;
    if (answer.size() + 12 + data.size() > limit) {
      answer[2] = static_cast<std::uint8_t>(answer[2] | kTruncated >> 8U);
      break;
    }
    put_word(answer, 0xc000U | kDnsHeader);  // the name: that of the question
    put_word(answer, question.type);
    put_word(answer, kClassInternet);
    put_word(answer, 0);  // not to be remembered: the next question may meet others
    put_word(answer, 0);
    put_word(answer, data.size());
    answer.insert(answer.end(), data.begin(), data.end());
    ++count;
  }
  answer[6] = static_cast<std::uint8_t>(count >> 8U);
  answer[7] = static_cast<std::uint8_t>(count & 255U);
  return answer;
}

Bytes render_dns_failure(ByteSpan query, const DnsQuestion& question, DnsCode code) {
  return render_head(query, question, static_cast<std::uint16_t>(code));
}

bool is_dns_answer_to(ByteSpan answer, ByteSpan query, const DnsQuestion& question) {
  if (answer.size() < kDnsHeader || (word_at(answer, 2) & kIsAnswer) == 0) return false;
  // A server that could not read the question may leave it out.
  if (word_at(answer, 4) == 0) return (answer[3] & 15U) != 0;
  if (answer.size() < question.end) return false;
  const auto same = [](std::uint8_t a, std::uint8_t b) {
    return std::tolower(a) == std::tolower(b);
  };
  const auto start = static_cast<std::ptrdiff_t>(kDnsHeader);
  return std::equal(answer.begin() + start,
                    answer.begin() + static_cast<std::ptrdiff_t>(question.end),
                    query.begin() + start, same);
}

std::optional<IpAddress> parse_reverse_name(std::string_view name) {
  constexpr std::string_view kFour = ".in-addr.arpa";
  constexpr std::string_view kSix = ".ip6.arpa";
  if (name.ends_with(kSix)) {
    Ipv6 address;
    if (!parse_nibbles(name.substr(0, name.size() - kSix.size()), address)) return {};
    return address;
  }
  if (!name.ends_with(kFour)) return {};
  std::string_view parts = name.substr(0, name.size() - kFour.size());
  std::string forward;
  while (!parts.empty()) {
    const std::size_t dot = parts.rfind('.');
    forward += (forward.empty() ? "" : ".") + std::string(parts.substr(dot + 1));
    parts = dot == std::string_view::npos ? std::string_view() : parts.substr(0, dot);
  }
  try {
    return Ipv4::parse(forward);
  } catch (const base::Error&) {
    return {};
  }
}

}  // namespace network
