#include "engine/network_service.h"

#include <algorithm>
#include <cctype>
#include <fcntl.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "base/files.h"
#include "base/trace.h"
#include "engine/bridge_network.h"
#include "engine/etc_files.h"
#include "engine/network_attach.h"
#include "network/name_server.h"
#include "network/relay.h"

namespace engine {
namespace {

constexpr std::size_t kLargestResolvConf = 64U << 10U;

void watch_nested(int epoll, int fd) {
  epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
  base::check(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

// Where nothing translates: see network/plan.h, translated_ports(), and HostFilter.
bool is_relayed(const Attachment& publisher, const network::PublishedPort& port) {
  if (publisher.link.host_filter == network::HostFilter::kObey || !publisher.cni.empty()) {
    return true;
  }
  return port.host_address.is_v6();
}

network::IpAddress relay_target(const network::Endpoint& endpoint,
                                const network::PublishedPort& port) {
  if (port.host_address.is_v6() && endpoint.address6) return *endpoint.address6;
  return endpoint.address;
}

// --link name:alias, on networks of the user's.
std::string linked_name(const ContainerOptions& options, const std::string& alias) {
  for (const std::string& link : options.links) {
    const std::size_t colon = link.find(':');
    if (colon != std::string::npos && link.substr(colon + 1) == alias) return link.substr(0, colon);
  }
  return alias;
}

std::vector<storage::HostRow> find_on_network(storage::Store& store, const std::string& network,
                                              const std::string& name) {
  std::vector<storage::HostRow> rows = store.find_hosts(network, name);
  const std::string end = "." + network;
  if (rows.empty() && name.ends_with(end)) {
    rows = store.find_hosts(network, name.substr(0, name.size() - end.size()));
  }
  return rows;
}

void add_records(std::vector<network::DnsRecord>& records, const storage::HostRow& row) {
  if (row.address != 0) records.emplace_back(network::IpAddress(network::Ipv4{row.address}));
  if (!row.address6.empty()) {
    records.emplace_back(network::IpAddress(network::Ipv6::parse(row.address6)));
  }
}

}  // namespace

NetworkService::NetworkService(StartedContainer& container, std::function<storage::Store&()> store)
    : container_(container),
      store_(std::move(store)),
      epoll_(base::check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
  update();
}

NetworkService::~NetworkService() = default;

void NetworkService::update() {
  if (has_name_server(container_.network) && names_ == nullptr) serve_names();
  relay_ports();
}

void NetworkService::serve_names() {
  const base::UniqueFd netns =
      base::open_file("/proc/" + std::to_string(container_.process.init.pid) + "/ns/net", O_RDONLY);
  names_ = std::make_unique<network::NameServer>(
      netns.get(), network::NameServerHooks{
                       .find = [this](const auto& question) { return find_records(question); },
                       .upstreams = [this] { return list_upstreams(); }});
  watch_nested(epoll_.get(), names_->fd());
}

void NetworkService::relay_ports() {
  for (const int socket : relayed_) relay_->remove(socket);
  relayed_.clear();
  const Attachment* const publisher = container_.network.publisher();
  if (publisher == nullptr) return;
  for (const ReservedPort& reserved : container_.ports.reserved) {
    if (!reserved.socket || !is_relayed(*publisher, reserved.port)) continue;
    if (relay_ == nullptr) {
      relay_ = std::make_unique<network::Relay>();
      watch_nested(epoll_.get(), relay_->fd());
    }
    relay_->add(reserved.socket.get(), reserved.port.protocol,
                relay_target(publisher->endpoint, reserved.port), reserved.port.container_port);
    relayed_.push_back(reserved.socket.get());
  }
}

void NetworkService::serve() {
  if (names_ != nullptr) names_->serve();
  if (relay_ != nullptr) relay_->serve();
}

std::optional<std::vector<network::DnsRecord>> NetworkService::find_records(
    const network::DnsQuestion& question) {
  std::vector<network::DnsRecord> records;
  try {
    storage::Store& store = store_();
    const auto reverse = question.type == static_cast<std::uint16_t>(network::DnsType::kPtr)
                             ? network::parse_reverse_name(question.name)
                             : std::nullopt;
    const std::string name = linked_name(container_.options, question.name);
    bool is_ours = false;
    for (const Attachment& attachment : container_.network.attachments) {
      if (attachment.network == kBridgeNetwork) continue;
      if (reverse) {
        const auto rows = reverse->is_v6()
                              ? store.find_hosts_at(attachment.network, 0, reverse->str())
                              : store.find_hosts_at(attachment.network, reverse->v4().bits, "");
        for (const storage::HostRow& row : rows) {
          records.emplace_back(row.name + "." + attachment.network);
        }
        is_ours = is_ours || !rows.empty();
      } else {
        const auto rows = find_on_network(store, attachment.network, name);
        for (const storage::HostRow& row : rows) add_records(records, row);
        is_ours = is_ours || !rows.empty();
      }
    }
    if (!is_ours) return std::nullopt;
  } catch (const base::Error& error) {
    base::trace("engine", error.what());
    return std::nullopt;
  }
  // Several containers of one name take turns.
  if (!records.empty()) {
    std::rotate(records.begin(),
                records.begin() + static_cast<std::ptrdiff_t>(turn_++ % records.size()),
                records.end());
  }
  return records;
}

// A container that is on internal networks only asks nobody outside.
std::vector<network::IpAddress> NetworkService::list_upstreams() const {
  std::vector<network::IpAddress> upstreams;
  const auto& attachments = container_.network.attachments;
  const bool is_internal = std::all_of(attachments.begin(), attachments.end(),
                                       [](const auto& item) { return item.link.internal; });
  if (is_internal) return upstreams;
  try {
    const std::string file =
        base::find_file("/etc/resolv.conf", kLargestResolvConf).value_or(std::string());
    for (const std::string& server : upstream_servers(container_.options, file)) {
      try {
        upstreams.push_back(network::IpAddress::parse(server.substr(0, server.find('%'))));
      } catch (const base::Error&) {  // not an address: resolv.conf(5) would not take it either
      }
    }
  } catch (const base::Error& error) {
    base::trace("engine", error.what());
  }
  return upstreams;
}

}  // namespace engine
