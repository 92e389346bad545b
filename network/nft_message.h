// nft_message: a libnftnl object as the bytes of one nfnetlink message, family inet.
#pragma once

#include <cstdint>
#include <functional>

#include "network/message.h"

struct nlmsghdr;

namespace network {

Bytes nft_message(std::uint16_t type, std::uint16_t flags,
                  const std::function<void(nlmsghdr*)>& put_payload);

}  // namespace network
