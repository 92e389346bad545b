// NameServer: answers DNS at 127.0.0.11 inside a container's network namespace and forwards the
// rest from ours.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "network/dns_message.h"

namespace network {

struct NameServerHooks {
  // Records of a name or address that is ours (none: it has none of that type); nullopt: whoever
  // else knows.
  std::function<std::optional<std::vector<DnsRecord>>(const DnsQuestion&)> find;
  // Whom to ask otherwise, as they are now; may change from question to question.
  std::function<std::vector<IpAddress>()> upstreams;
};

// One thread, never blocks, bounded: at most kMostQuestions wait for an upstream, each for
// kPatience with each of them in turn; of what comes beyond that, the oldest is given up.
class NameServer {
 public:
  static constexpr std::size_t kMostQuestions = 128;
  static constexpr std::size_t kMostStreams = 16;

  // The sockets stand at any port of 127.0.0.11; packets to its port 53 are translated in there, so
  // that a name server of the container's own may have port 53 of every address.
  NameServer(int netns_fd, NameServerHooks hooks);
  ~NameServer();

  int fd() const { return epoll_.get(); }  // readable when serve() has something to do
  void serve();

 private:
  struct Question;
  struct Stream;
  void listen_inside(int netns_fd);
  void take_datagrams();
  void accept_stream();
  void answer_datagram(const Question& question, const Bytes& answer);
  void forward(Question question);
  bool ask_next(Question& question);
  void take_answer(std::list<Question>::iterator question);
  void give_up_late();
  void read_stream(std::list<Stream>::iterator stream);
  void relay_answer(std::list<Stream>::iterator stream);
  bool start_relay(Stream& stream, const Bytes& query);
  void set_timer();
  void watch(int fd, std::uint32_t events);

  NameServerHooks hooks_;
  base::UniqueFd epoll_, timer_, datagrams_, listener_;
  std::list<Question> questions_;  // oldest first
  std::list<Stream> streams_;
  std::size_t turn_ = 0;
};

}  // namespace network
