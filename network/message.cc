#include "network/message.h"

#include <arpa/inet.h>
#include <cassert>
#include <cstring>
#include <linux/netlink.h>

#include <libmnl/libmnl.h>

namespace network {

Message::Message(std::uint16_t type, std::uint16_t flags, const void* header, std::size_t size) {
  nlmsghdr* const start = mnl_nlmsg_put_header(buffer_.data());
  start->nlmsg_type = type;
  start->nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  std::memcpy(mnl_nlmsg_put_extra_header(start, size), header, size);
}

nlmsghdr* Message::head() { return reinterpret_cast<nlmsghdr*>(buffer_.data()); }

Message& Message::bytes(std::uint16_t type, ByteSpan value) {
  const bool fits = mnl_attr_put_check(head(), buffer_.size(), type, value.size(), value.data());
  assert(fits);
  return *this;
}

Message& Message::u8(std::uint16_t type, std::uint8_t value) {
  return bytes(type, bytes_of(value));
}
Message& Message::u16(std::uint16_t type, std::uint16_t value) {
  return bytes(type, bytes_of(value));
}
Message& Message::u32(std::uint16_t type, std::uint32_t value) {
  return bytes(type, bytes_of(value));
}

Message& Message::text(std::uint16_t type, std::string_view value) {
  const std::string terminated(value);
  return bytes(type,
               {reinterpret_cast<const std::uint8_t*>(terminated.c_str()), terminated.size() + 1});
}

Message& Message::address(std::uint16_t type, Ipv4 value) { return u32(type, htonl(value.bits)); }

Message& Message::nest(std::uint16_t type, const std::function<void(Message&)>& fill) {
  return nest_after(type, {}, fill);
}

Message& Message::nest_after(std::uint16_t type, ByteSpan header,
                             const std::function<void(Message&)>& fill) {
  nlattr* const start = mnl_attr_nest_start_check(head(), buffer_.size(), type);
  assert(start != nullptr);
  if (!header.empty()) {
    assert(head()->nlmsg_len + header.size() <= buffer_.size());
    std::memcpy(mnl_nlmsg_put_extra_header(head(), header.size()), header.data(), header.size());
  }
  fill(*this);
  mnl_attr_nest_end(head(), start);
  return *this;
}

Bytes Message::finish() const {
  const auto* start = reinterpret_cast<const nlmsghdr*>(buffer_.data());
  return {buffer_.data(), buffer_.data() + start->nlmsg_len};
}

ByteSpan payload_of(ByteSpan message) {
  return message.size() <= MNL_NLMSG_HDRLEN ? ByteSpan{} : message.subspan(MNL_NLMSG_HDRLEN);
}

AttributeList AttributeList::of_message(ByteSpan message, std::size_t header_size) {
  const ByteSpan payload = payload_of(message);
  const std::size_t aligned = MNL_ALIGN(header_size);
  return AttributeList(payload.size() <= aligned ? ByteSpan{} : payload.subspan(aligned));
}

void AttributeList::for_each(
    const std::function<void(std::uint16_t type, ByteSpan value)>& visit) const {
  const std::uint8_t* const end = bytes_.data() + bytes_.size();
  const auto* attribute = reinterpret_cast<const nlattr*>(bytes_.data());
  while (mnl_attr_ok(attribute,
                     static_cast<int>(end - reinterpret_cast<const std::uint8_t*>(attribute)))) {
    visit(mnl_attr_get_type(attribute),
          {static_cast<const std::uint8_t*>(mnl_attr_get_payload(attribute)),
           mnl_attr_get_payload_len(attribute)});
    attribute = mnl_attr_next(attribute);
  }
}

ByteSpan AttributeList::find(std::uint16_t type) const {
  ByteSpan found;
  for_each([&](std::uint16_t candidate, ByteSpan value) {
    if (candidate == type && found.data() == nullptr) found = value;
  });
  return found;
}

std::uint32_t AttributeList::u32(std::uint16_t type, std::uint32_t otherwise) const {
  const ByteSpan value = find(type);
  if (value.size() < sizeof otherwise) return otherwise;
  std::memcpy(&otherwise, value.data(), sizeof otherwise);
  return otherwise;
}

std::string_view AttributeList::text(std::uint16_t type) const {
  const ByteSpan value = find(type);
  const auto* start = reinterpret_cast<const char*>(value.data());
  return start == nullptr ? std::string_view{}
                          : std::string_view(start, strnlen(start, value.size()));
}

}  // namespace network
