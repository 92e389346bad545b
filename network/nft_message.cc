#include "network/nft_message.h"

#include <array>
#include <cassert>
#include <linux/netfilter.h>
#include <linux/netlink.h>

#include <libnftnl/common.h>

namespace network {

Bytes nft_message(std::uint16_t type, std::uint16_t flags,
                  const std::function<void(nlmsghdr*)>& put_payload) {
  // libnftnl writes without looking at the end. Our longest rule takes less than a kilobyte, and
  // names are limited before they come here.
  alignas(8) std::array<char, 4096> buffer{};
  nlmsghdr* const message = nftnl_nlmsg_build_hdr(buffer.data(), type, NFPROTO_INET, flags, 0);
  put_payload(message);
  assert(message->nlmsg_len <= buffer.size());
  const auto* start = reinterpret_cast<const std::uint8_t*>(buffer.data());
  return {start, start + message->nlmsg_len};
}

}  // namespace network
