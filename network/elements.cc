#include "network/elements.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <new>

#include <libnftnl/set.h>
#include <libnftnl/udata.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "network/firewall.h"
#include "network/nft_message.h"

namespace network {
namespace {

using Set = base::CHandle<nftnl_set, nftnl_set_free>;
using Comment = base::CHandle<nftnl_udata_buf, nftnl_udata_buf_free>;
using Iterator = base::CHandle<nftnl_set_elems_iter, nftnl_set_elems_iter_destroy>;

// Parts of a concatenation take whole 4-byte registers, values at the front in network order.
struct PortKey {
  std::uint8_t protocol;
  std::uint8_t pad[3];
  std::uint16_t port;
  std::uint8_t more_pad[2];
};
static_assert(sizeof(PortKey) == 8);
constexpr std::size_t kPortSize = 4;  // of a port behind an address, padded

Set map_of(const BridgeConfig& config, std::string_view name) {
  Set set(nftnl_set_alloc());
  if (!set) throw std::bad_alloc();
  nftnl_set_set_str(set.get(), NFTNL_SET_TABLE, config.table.c_str());
  nftnl_set_set_str(set.get(), NFTNL_SET_NAME, std::string(name).c_str());
  return set;
}

std::string_view map_name(const PublishedPort& port) {
  const bool is_any = port.host_address.is_any();
  if (port.host_address.is_v6()) return is_any ? kPortsOfAnyAddress6 : kPortsOfAddress6;
  return is_any ? kPortsOfAnyAddress : kPortsOfAddress;
}

Set map_for(const BridgeConfig& config, const PublishedPort& port) {
  return map_of(config, map_name(port));
}

void append(Bytes& bytes, ByteSpan more) { bytes.insert(bytes.end(), more.begin(), more.end()); }

void append(Bytes& bytes, const IpAddress& address) {
  if (address.is_v6()) return append(bytes, ByteSpan(address.v6().bytes));
  const std::uint32_t bits = htonl(address.v4().bits);
  append(bytes, bytes_of(bits));
}

IpAddress read_address(ByteSpan bytes) {
  if (bytes.size() == sizeof(Ipv6)) {
    Ipv6 address;
    std::copy_n(bytes.begin(), bytes.size(), address.bytes.begin());
    return address;
  }
  std::uint32_t bits = 0;
  if (bytes.size() >= sizeof bits) std::memcpy(&bits, bytes.data(), sizeof bits);
  return Ipv4{ntohl(bits)};
}

void set_key(nftnl_set_elem* element, const PublishedPort& port) {
  Bytes key;
  if (!port.host_address.is_any()) append(key, port.host_address);
  const PortKey end{static_cast<std::uint8_t>(port.protocol), {}, htons(port.host_port), {}};
  append(key, bytes_of(end));
  nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, key.data(),
                     static_cast<std::uint32_t>(key.size()));
}

// Adds an empty element, which the set owns.
nftnl_set_elem* add_element(nftnl_set* set) {
  nftnl_set_elem* const element = nftnl_set_elem_alloc();
  if (element == nullptr) throw std::bad_alloc();
  nftnl_set_elem_add(set, element);
  return element;
}

// nft(8) shows it as the element's comment.
void set_owner(nftnl_set_elem* element, const std::string& owner) {
  const Comment comment(nftnl_udata_buf_alloc(NFT_USERDATA_MAXLEN));
  if (!comment) throw std::bad_alloc();
  nftnl_udata_put_strz(comment.get(), NFTNL_UDATA_SET_ELEM_COMMENT, owner.c_str());
  nftnl_set_elem_set(element, NFTNL_SET_ELEM_USERDATA, nftnl_udata_buf_data(comment.get()),
                     nftnl_udata_buf_len(comment.get()));
}

Bytes elements_message(std::uint16_t type, std::uint16_t flags, nftnl_set* set) {
  return nft_message(type, flags,
                     [&](nlmsghdr* message) { nftnl_set_elems_nlmsg_build_payload(message, set); });
}

// User data is type, length, value; whoever else writes elements may put anything there.
std::string owner_of(nftnl_set_elem* element) {
  std::uint32_t size = 0;
  const auto* data =
      static_cast<const std::uint8_t*>(nftnl_set_elem_get(element, NFTNL_SET_ELEM_USERDATA, &size));
  for (ByteSpan left{data, data == nullptr ? 0 : size}; left.size() >= 2;) {
    const std::size_t length = left[1];
    if (left.size() < 2 + length) break;
    const auto* text = reinterpret_cast<const char*>(left.data() + 2);
    if (left[0] == NFTNL_UDATA_SET_ELEM_COMMENT) return {text, strnlen(text, length)};
    left = left.subspan(2 + length);
  }
  return {};
}

ByteSpan value_of(nftnl_set_elem* element, std::uint16_t attribute) {
  std::uint32_t size = 0;
  const auto* data =
      static_cast<const std::uint8_t*>(nftnl_set_elem_get(element, attribute, &size));
  return {data, data == nullptr ? 0 : size};
}

std::optional<PublishedElement> parse_element(nftnl_set_elem* element) {
  const ByteSpan key = value_of(element, NFTNL_SET_ELEM_KEY);
  const ByteSpan data = value_of(element, NFTNL_SET_ELEM_DATA);
  const bool is_v6 = data.size() == sizeof(Ipv6) + kPortSize;
  if (!is_v6 && data.size() != sizeof(Ipv4) + kPortSize) return {};
  const std::size_t address_size = is_v6 ? sizeof(Ipv6) : sizeof(Ipv4);
  PortKey port{};
  if (key.size() != sizeof port && key.size() != address_size + sizeof port) return {};
  std::memcpy(&port, key.data() + key.size() - sizeof port, sizeof port);
  IpAddress host = is_v6 ? IpAddress(Ipv6{}) : IpAddress();
  if (key.size() != sizeof port) host = read_address(key.first(address_size));
  std::uint16_t target = 0;
  std::memcpy(&target, data.data() + address_size, sizeof target);
  return PublishedElement{.owner = owner_of(element),
                          .container_address = read_address(data.first(address_size)),
                          .port = {.host_address = host,
                                   .host_port = ntohs(port.port),
                                   .container_port = ntohs(target),
                                   .protocol = static_cast<Protocol>(port.protocol)}};
}

std::string_view name_of(Protocol protocol) {
  switch (protocol) {
    case Protocol::kTcp:
      return "tcp";
    case Protocol::kUdp:
      return "udp";
    case Protocol::kSctp:
      return "sctp";
  }
  return "unknown";
}

}  // namespace

std::string describe(const PublishedPort& port) {
  return port.host_address.with_port(port.host_port) + "/" + std::string(name_of(port.protocol));
}

Step add_element_step(const BridgeConfig& config, const PublishedElement& element) {
  const Set set = map_for(config, element.port);
  nftnl_set_elem* const added = add_element(set.get());
  set_key(added, element.port);
  Bytes target;
  append(target, element.container_address);
  const std::array<std::uint16_t, 2> port{htons(element.port.container_port), 0};
  append(target, bytes_of(port));
  nftnl_set_elem_set(added, NFTNL_SET_ELEM_DATA, target.data(),
                     static_cast<std::uint32_t>(target.size()));
  set_owner(added, element.owner);
  return {"map " + describe(element.port) + " to " +
              element.container_address.with_port(element.port.container_port),
          elements_message(NFT_MSG_NEWSETELEM, NLM_F_CREATE, set.get())};
}

Step delete_element_step(const BridgeConfig& config, const PublishedElement& element) {
  const Set set = map_for(config, element.port);
  set_key(add_element(set.get()), element.port);
  return {"unmap " + describe(element.port), elements_message(NFT_MSG_DELSETELEM, 0, set.get())};
}

Bytes find_element_request(const BridgeConfig& config, const PublishedPort& port) {
  const Set set = map_for(config, port);
  set_key(add_element(set.get()), port);
  return elements_message(NFT_MSG_GETSETELEM, 0, set.get());
}

std::vector<Bytes> list_elements_requests(const BridgeConfig& config) {
  std::vector<Bytes> requests;
  for (const std::string_view name :
       {kPortsOfAddress, kPortsOfAnyAddress, kPortsOfAddress6, kPortsOfAnyAddress6}) {
    const Set set = map_of(config, name);
    requests.push_back(elements_message(NFT_MSG_GETSETELEM, NLM_F_DUMP, set.get()));
  }
  return requests;
}

std::vector<PublishedElement> parse_elements(const Bytes& message) {
  std::vector<PublishedElement> found;
  const Set set(nftnl_set_alloc());
  if (!set) throw std::bad_alloc();
  const auto* header = reinterpret_cast<const nlmsghdr*>(message.data());
  if (nftnl_set_elems_nlmsg_parse(header, set.get()) < 0) return found;
  const Iterator iterator(nftnl_set_elems_iter_create(set.get()));
  if (!iterator) throw std::bad_alloc();
  while (nftnl_set_elem* element = nftnl_set_elems_iter_next(iterator.get())) {
    if (auto parsed = parse_element(element)) found.push_back(std::move(*parsed));
  }
  return found;
}

}  // namespace network
