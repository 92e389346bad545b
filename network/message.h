// Message: writes one netlink message attribute by attribute; AttributeList reads one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "network/address.h"

struct nlmsghdr;

namespace network {

using Bytes = std::vector<std::uint8_t>;
using ByteSpan = std::span<const std::uint8_t>;

class Message {
 public:
  // NLM_F_REQUEST is added. Sequence numbers belong to the socket (netlink.h), not to the plan.
  template <class Header>
  Message(std::uint16_t type, std::uint16_t flags, const Header& header)
      : Message(type, flags, &header, sizeof header) {}

  Message& u8(std::uint16_t type, std::uint8_t value);
  Message& u16(std::uint16_t type, std::uint16_t value);
  Message& u32(std::uint16_t type, std::uint32_t value);
  Message& text(std::uint16_t type, std::string_view value);  // with its NUL
  Message& bytes(std::uint16_t type, ByteSpan value);
  Message& address(std::uint16_t type, Ipv4 value);  // network byte order

  // Everything that `fill` adds goes inside an attribute of this type.
  Message& nest(std::uint16_t type, const std::function<void(Message&)>& fill);
  // As nest(), with a header struct between the attribute's own and its content: VETH_INFO_PEER.
  Message& nest_after(std::uint16_t type, ByteSpan header,
                      const std::function<void(Message&)>& fill);

  Bytes finish() const;

 private:
  Message(std::uint16_t type, std::uint16_t flags, const void* header, std::size_t size);
  nlmsghdr* head();

  // Far more than any message here needs; running over is a bug and ends the program.
  alignas(8) std::array<std::uint8_t, 1024> buffer_{};
};

template <class T>
ByteSpan bytes_of(const T& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

// The attributes of a message or of a nest, looked up by type. Views the message's bytes.
class AttributeList {
 public:
  AttributeList() = default;
  explicit AttributeList(ByteSpan bytes) : bytes_(bytes) {}
  // Those that follow the family header of a whole message.
  static AttributeList of_message(ByteSpan message, std::size_t header_size);

  ByteSpan find(std::uint16_t type) const;  // empty where there is none
  AttributeList find_nest(std::uint16_t type) const { return AttributeList(find(type)); }
  std::uint32_t u32(std::uint16_t type, std::uint32_t otherwise = 0) const;
  std::string_view text(std::uint16_t type) const;
  void for_each(const std::function<void(std::uint16_t type, ByteSpan value)>& visit) const;

 private:
  ByteSpan bytes_;
};

// The struct at the start of a message's payload: ifinfomsg, rtmsg; zeros where it is too short.
template <class Header>
Header header_of(ByteSpan message);

ByteSpan payload_of(ByteSpan message);

template <class Header>
Header header_of(ByteSpan message) {
  Header header{};
  const ByteSpan payload = payload_of(message);
  if (payload.size() < sizeof header) return header;
  std::copy_n(payload.data(), sizeof header, reinterpret_cast<std::uint8_t*>(&header));
  return header;
}

}  // namespace network
