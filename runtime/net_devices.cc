#include "runtime/net_devices.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace runtime {
namespace {

using base::UniqueFd;

// One rtnetlink(7) message: a header of its family, then attributes.
class Message {
 public:
  template <class Header>
  Message(std::uint16_t type, std::uint16_t flags, const Header& header) {
    append(nlmsghdr{.nlmsg_len = 0, .nlmsg_type = type, .nlmsg_flags = flags});
    append(header);
  }
  void add(std::uint16_t type, const void* data, std::size_t size) {
    append(rtattr{.rta_len = static_cast<unsigned short>(RTA_LENGTH(size)), .rta_type = type});
    bytes_.append(static_cast<const char*>(data), size);
    pad();
  }
  const std::string& finish() {
    const auto size = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof size);
    return bytes_;
  }

 private:
  template <class T>
  void append(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    pad();
  }
  void pad() { bytes_.resize(NLMSG_ALIGN(bytes_.size())); }

  std::string bytes_;
};

UniqueFd open_netlink() {
  return UniqueFd(
      base::check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), "netlink socket"));
}

std::vector<char> receive(int fd) {
  std::vector<char> buffer(64U << 10U);
  const ssize_t size = base::check(recv(fd, buffer.data(), buffer.size(), 0), "netlink");
  buffer.resize(static_cast<std::size_t>(size));
  return buffer;
}

// Each message of the answers until the last one; throws what the kernel says.
template <class Take>
void request(int fd, const std::string& message, const std::string& what, Take take) {
  base::check(send(fd, message.data(), message.size(), 0), what);
  for (;;) {
    const std::vector<char> answer = receive(fd);
    auto size = static_cast<int>(answer.size());
    for (const auto* header = reinterpret_cast<const nlmsghdr*>(answer.data());
         NLMSG_OK(header, static_cast<unsigned>(size)); header = NLMSG_NEXT(header, size)) {
      if (header->nlmsg_type == NLMSG_DONE) return;
      if (header->nlmsg_type == NLMSG_ERROR) {
        const int error = static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
        if (error != 0) base::throw_errno(what, -error);
        return;
      }
      take(*header);
    }
  }
}

void request(int fd, const std::string& message, const std::string& what) {
  request(fd, message, what, [](const nlmsghdr&) {});
}

struct Address {
  ifaddrmsg header = {};
  std::vector<std::pair<std::uint16_t, std::string>> attributes;
};

// What the kernel derives itself, like a link-local address, is not permanent or comes back alone.
bool is_kept(const ifaddrmsg& header) {
  return (header.ifa_flags & IFA_F_PERMANENT) != 0 && header.ifa_scope != RT_SCOPE_LINK;
}

std::vector<Address> list_addresses(int fd, unsigned index) {
  std::vector<Address> addresses;
  Message message(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, ifaddrmsg{.ifa_family = AF_UNSPEC});
  request(fd, message.finish(), "list addresses", [&](const nlmsghdr& header) {
    if (header.nlmsg_type != RTM_NEWADDR) return;
    Address address;
    std::memcpy(&address.header, NLMSG_DATA(&header), sizeof address.header);
    if (address.header.ifa_index != index || !is_kept(address.header)) return;
    auto size = static_cast<int>(IFA_PAYLOAD(&header));
    for (const auto* attribute = IFA_RTA(static_cast<const ifaddrmsg*>(NLMSG_DATA(&header)));
         RTA_OK(attribute, size); attribute = RTA_NEXT(attribute, size)) {
      const std::uint16_t type = attribute->rta_type;
      if (type != IFA_LOCAL && type != IFA_ADDRESS && type != IFA_BROADCAST) continue;
      address.attributes.emplace_back(
          type, std::string(static_cast<const char*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute)));
    }
    addresses.push_back(std::move(address));
  });
  return addresses;
}

void move_link(int fd, unsigned index, const std::string& name, int namespace_fd) {
  Message message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK,
                  ifinfomsg{.ifi_family = AF_UNSPEC, .ifi_index = static_cast<int>(index)});
  message.add(IFLA_NET_NS_FD, &namespace_fd, sizeof namespace_fd);
  message.add(IFLA_IFNAME, name.c_str(), name.size() + 1);
  request(fd, message.finish(), "move it");
}

void set_up(int fd, unsigned index) {
  Message message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK,
                  ifinfomsg{.ifi_family = AF_UNSPEC,
                            .ifi_index = static_cast<int>(index),
                            .ifi_flags = IFF_UP,
                            .ifi_change = IFF_UP});
  request(fd, message.finish(), "set it up");
}

void add_address(int fd, unsigned index, const Address& address) {
  ifaddrmsg header = address.header;
  header.ifa_index = index;
  header.ifa_flags = IFA_F_PERMANENT;
  Message message(RTM_NEWADDR, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, header);
  for (const auto& [type, value] : address.attributes) {
    message.add(type, value.data(), value.size());
  }
  request(fd, message.finish(), "add an address");
}

void check_name(const std::string& name) {
  const bool is_bad = name.empty() || name.size() >= IFNAMSIZ || name == "." || name == ".." ||
                      name.find_first_of(std::string("/ :\t\n\0", 6)) != std::string::npos;
  if (is_bad) {
    throw base::Error(base::ErrorKind::kInvalid, "\"" + name + "\" is no name of a device");
  }
}

// For as long as it lives we are in that network namespace. A socket stays in the one that it was
// made in.
class InNetwork {
 public:
  explicit InNetwork(int namespace_fd) : own_(base::open_file("/proc/self/ns/net", O_RDONLY)) {
    base::check(setns(namespace_fd, CLONE_NEWNET), "join the container's network namespace");
  }
  InNetwork(const InNetwork&) = delete;
  InNetwork& operator=(const InNetwork&) = delete;
  ~InNetwork() { static_cast<void>(setns(own_.get(), CLONE_NEWNET) == 0); }

 private:
  UniqueFd own_;
};

UniqueFd open_network_of(pid_t pid) {
  return base::open_file("/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY);
}

void move_device(const std::string& name, const std::string& inside, int namespace_fd) {
  check_name(name);
  check_name(inside);
  const unsigned index = if_nametoindex(name.c_str());
  if (index == 0) {
    throw base::Error(base::ErrorKind::kNotFound, "this host has no such device", ENODEV);
  }
  const UniqueFd host = open_netlink();
  const std::vector<Address> addresses = list_addresses(host.get(), index);
  move_link(host.get(), index, inside, namespace_fd);
  const InNetwork inside_of(namespace_fd);
  const UniqueFd container = open_netlink();
  const unsigned moved = if_nametoindex(inside.c_str());
  for (const Address& address : addresses) add_address(container.get(), moved, address);
  set_up(container.get(), moved);
}

}  // namespace

void move_net_devices(const std::map<std::string, std::string>& devices, pid_t pid) {
  const UniqueFd network = open_network_of(pid);
  for (const auto& [name, inside] : devices) {
    base::while_doing("linux.netDevices." + name, [&, &host_name = name, &new_name = inside] {
      move_device(host_name, new_name.empty() ? host_name : new_name, network.get());
    });
  }
}

void set_up_loopback(pid_t pid) {
  constexpr unsigned kLoopbackIndex = 1;  // in every network namespace
  const UniqueFd network = open_network_of(pid);
  const InNetwork inside(network.get());
  set_up(open_netlink().get(), kLoopbackIndex);
}

}  // namespace runtime
