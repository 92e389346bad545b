// NetworkService: what a monitor does for its container's networks while it runs: answers for
// names, relays what the firewall does not translate.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/unique_fd.h"
#include "engine/monitor_start.h"
#include "network/dns_message.h"

namespace network {
class NameServer;
class Relay;
}  // namespace network

namespace engine {

class NetworkService {
 public:
  // `store` opens the store where it is not open; both live longer than this.
  NetworkService(StartedContainer& container, std::function<storage::Store&()> store);
  ~NetworkService();

  int fd() const { return epoll_.get(); }  // readable when serve() has something to do
  void serve();
  void update();  // networks or ports are others now

 private:
  std::optional<std::vector<network::DnsRecord>> find_records(const network::DnsQuestion& question);
  std::vector<network::IpAddress> list_upstreams() const;
  void serve_names();
  void relay_ports();

  StartedContainer& container_;
  std::function<storage::Store&()> store_;
  base::UniqueFd epoll_;
  std::unique_ptr<network::NameServer> names_;
  std::unique_ptr<network::Relay> relay_;
  std::vector<int> relayed_;
  unsigned turn_ = 0;
};

}  // namespace engine
