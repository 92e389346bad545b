// Fingerprint: 16 hexadecimal digits of some bytes, for names (FNV-1a, 64 bits; not against an
// adversary).
#pragma once

#include <cstdint>
#include <string>

namespace network {

class Fingerprint {
 public:
  template <class Bytes>
  void add(const Bytes& bytes) {
    for (const auto byte : bytes) hash_ = (hash_ ^ static_cast<std::uint8_t>(byte)) * kPrime;
  }
  std::string str() const {
    std::string digits;
    for (int shift = 60; shift >= 0; shift -= 4) {
      digits += "0123456789abcdef"[(hash_ >> static_cast<unsigned>(shift)) & 15U];
    }
    return digits;
  }

 private:
  static constexpr std::uint64_t kPrime = 0x100000001b3U;
  std::uint64_t hash_ = 0xcbf29ce484222325U;
};

}  // namespace network
