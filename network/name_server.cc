#include "network/name_server.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/error.h"
#include "base/time.h"
#include "network/clock.h"
#include "network/elements.h"
#include "network/firewall.h"
#include "network/namespace.h"
#include "network/netlink.h"
#include "network/nft_objects.h"
#include "network/rule.h"
#include "network/socket_address.h"

namespace network {
namespace {

constexpr Ipv4 kInsideAddress{0x7f00000b};  // 127.0.0.11
constexpr std::uint16_t kDnsPort = 53;
constexpr base::Nanoseconds kPatience = 2'000'000'000;         // with each upstream
constexpr base::Nanoseconds kStreamPatience = 10'000'000'000;  // for a whole exchange over TCP
constexpr std::size_t kLargestPacket = 65535;
constexpr int kDatagramsAtOnce = 32;

base::UniqueFd open_inside(int type) {
  base::UniqueFd fd(socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  base::check(fd.get(), "socket of the name server");
  SocketAddress name(kInsideAddress, 0);
  base::check(bind(fd.get(), name.get(), name.size()), "bind the name server");
  return fd;
}

// 127.0.0.11:53 becomes where the sockets are, in the container's own table.
void translate_inside(std::uint16_t udp_port, std::uint16_t tcp_port) {
  BridgeConfig config;
  config.table = "sampan_names";
  const Hook hook{"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST};
  const SetLayout& map = table_sets().front();
  std::vector<Step> steps{
      {"add table inet sampan_names", table_message(config, NFT_MSG_NEWTABLE, NLM_F_CREATE)},
      {"add map of the name server", set_message(config, map)},
      {"add chain of the name server", chain_message(config, NFT_MSG_NEWCHAIN, "output", &hook)},
      Rule(config, "output").ipv4().translate_by_address_and_port(map.name).finish()};
  for (const auto& [protocol, port] :
       {std::pair{Protocol::kUdp, udp_port}, std::pair{Protocol::kTcp, tcp_port}}) {
    steps.push_back(add_element_step(config, {.owner = "names",
                                              .container_address = kInsideAddress,
                                              .port = {.host_address = kInsideAddress,
                                                       .host_port = kDnsPort,
                                                       .container_port = port,
                                                       .protocol = protocol}}));
  }
  Netlink(Netlink::Bus::kNetfilter).commit(steps);
}

std::uint16_t random_id() {
  std::uint16_t id = 0;
  base::check(getrandom(&id, sizeof id, 0), "getrandom");
  return id;
}

void set_id(Bytes& packet, std::uint16_t id) {
  packet[0] = static_cast<std::uint8_t>(id >> 8U);
  packet[1] = static_cast<std::uint8_t>(id & 255U);
}

std::uint16_t id_of(ByteSpan packet) {
  return static_cast<std::uint16_t>(packet[0] << 8U | packet[1]);
}

Bytes with_length(const Bytes& packet) {
  Bytes framed(packet.size() + 2);
  framed[0] = static_cast<std::uint8_t>(packet.size() >> 8U);
  framed[1] = static_cast<std::uint8_t>(packet.size() & 255U);
  std::copy(packet.begin(), packet.end(), framed.begin() + 2);
  return framed;
}

// A whole packet behind its length; nullopt while some of it is missing.
std::optional<Bytes> take_packet(Bytes& buffer) {
  if (buffer.size() < 2) return {};
  const std::size_t size = static_cast<std::size_t>(buffer[0] << 8U | buffer[1]);
  if (buffer.size() < 2 + size) return {};
  const auto end = buffer.begin() + 2 + static_cast<std::ptrdiff_t>(size);
  Bytes packet(buffer.begin() + 2, end);
  buffer.erase(buffer.begin(), end);
  return packet;
}

// False at the end of the connection.
bool read_some(int fd, Bytes& buffer) {
  std::array<std::uint8_t, 4096> part;
  const ssize_t count = read(fd, part.data(), part.size());
  if (count < 0) return errno == EAGAIN || errno == EINTR;
  if (count == 0 || buffer.size() + part.size() > 2 * kLargestPacket) return false;
  buffer.insert(buffer.end(), part.begin(), part.begin() + count);
  return true;
}

}  // namespace

// Over UDP, on its way to an upstream.
struct NameServer::Question {
  SocketAddress client;
  Bytes query;
  DnsQuestion parsed;
  std::vector<IpAddress> upstreams;
  std::size_t next = 0;  // of the upstreams
  base::UniqueFd socket;
  std::uint16_t id = 0;  // towards the upstream
  base::Nanoseconds deadline = 0;
};

// Over TCP: one client, and where its question is not for us the upstream's end.
struct NameServer::Stream {
  base::UniqueFd client, upstream;
  Bytes from_client, from_upstream, to_upstream;
  base::Nanoseconds deadline = 0;
};

NameServer::NameServer(int netns_fd, NameServerHooks hooks)
    : hooks_(std::move(hooks)),
      epoll_(base::check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      timer_(base::check(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
                         "timerfd_create")) {
  listen_inside(netns_fd);
  watch(timer_.get(), EPOLLIN);
  watch(datagrams_.get(), EPOLLIN);
  watch(listener_.get(), EPOLLIN);
}

NameServer::~NameServer() = default;

void NameServer::listen_inside(int netns_fd) {
  const InsideNetwork inside(netns_fd);
  datagrams_ = open_inside(SOCK_DGRAM);
  listener_ = open_inside(SOCK_STREAM);
  base::check(listen(listener_.get(), 16), "listen as the name server");
  translate_inside(SocketAddress::of_socket(datagrams_.get()).port(),
                   SocketAddress::of_socket(listener_.get()).port());
}

void NameServer::watch(int fd, std::uint32_t events) {
  epoll_event event = {.events = events, .data = {.fd = fd}};
  base::check(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

void NameServer::serve() {
  std::array<epoll_event, 32> events;
  const int count = epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    const int fd = events[static_cast<std::size_t>(i)].data.fd;
    if (fd == datagrams_.get()) {
      take_datagrams();
    } else if (fd == listener_.get()) {
      accept_stream();
    } else if (fd == timer_.get()) {
      std::uint64_t ticks = 0;
      static_cast<void>(!read(timer_.get(), &ticks, sizeof ticks));
    } else {
      const auto question = std::find_if(questions_.begin(), questions_.end(),
                                         [&](const auto& q) { return q.socket.get() == fd; });
      if (question != questions_.end()) take_answer(question);
      const auto stream = std::find_if(streams_.begin(), streams_.end(), [&](const auto& s) {
        return s.client.get() == fd || s.upstream.get() == fd;
      });
      if (stream == streams_.end()) continue;
      if (stream->client.get() == fd) {
        read_stream(stream);
      } else {
        relay_answer(stream);
      }
    }
  }
  give_up_late();
  set_timer();
}

void NameServer::take_datagrams() {
  std::array<std::uint8_t, 4096> buffer;  // no question is nearly so long
  for (int i = 0; i < kDatagramsAtOnce; ++i) {
    Question question;
    const ssize_t size = question.client.receive(datagrams_.get(), buffer);
    if (size < 0) return;
    question.query.assign(buffer.begin(), buffer.begin() + size);
    const auto parsed = parse_dns_query(question.query);
    if (!parsed) continue;
    question.parsed = *parsed;
    if (const auto records = hooks_.find(*parsed)) {
      answer_datagram(question,
                      render_dns_answer(question.query, *parsed, *records, parsed->limit));
    } else {
      forward(std::move(question));
    }
  }
}

void NameServer::answer_datagram(const Question& question, const Bytes& answer) {
  SocketAddress client = question.client;
  static_cast<void>(
      sendto(datagrams_.get(), answer.data(), answer.size(), 0, client.get(), client.size()));
}

// In turn: the first answer is as good as any other's, and one that is slow is not always first.
void NameServer::forward(Question question) {
  question.upstreams = hooks_.upstreams();
  if (!question.upstreams.empty()) {
    const std::size_t first = turn_++ % question.upstreams.size();
    std::rotate(question.upstreams.begin(),
                question.upstreams.begin() + static_cast<std::ptrdiff_t>(first),
                question.upstreams.end());
  }
  if (questions_.size() >= kMostQuestions) questions_.pop_front();
  if (ask_next(question)) {
    questions_.push_back(std::move(question));
  } else {
    answer_datagram(question,
                    render_dns_failure(question.query, question.parsed, DnsCode::kServer));
  }
}

// A socket of its own for each question, and an id that nobody can guess: a false answer has to hit
// both.
bool NameServer::ask_next(Question& question) {
  while (question.next < question.upstreams.size()) {
    SocketAddress upstream(question.upstreams[question.next++], kDnsPort);
    question.socket.reset(socket(upstream.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!question.socket || connect(question.socket.get(), upstream.get(), upstream.size()) != 0) {
      continue;
    }
    question.id = random_id();
    Bytes query = question.query;
    set_id(query, question.id);
    if (send(question.socket.get(), query.data(), query.size(), 0) < 0) continue;
    watch(question.socket.get(), EPOLLIN);
    question.deadline = monotonic_now() + kPatience;
    return true;
  }
  question.socket.reset();
  return false;
}

void NameServer::take_answer(std::list<Question>::iterator question) {
  static std::array<std::uint8_t, kLargestPacket> buffer;
  const ssize_t size = recv(question->socket.get(), buffer.data(), buffer.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size >= 0) {
    Bytes answer(buffer.begin(), buffer.begin() + size);
    if (!is_dns_answer_to(answer, question->query, question->parsed) ||
        id_of(answer) != question->id) {
      return;  // not what was asked: somebody guesses
    }
    set_id(answer, question->parsed.id);
    answer_datagram(*question, answer);
  } else if (ask_next(*question)) {  // nobody listens there
    return;
  } else {
    answer_datagram(*question,
                    render_dns_failure(question->query, question->parsed, DnsCode::kServer));
  }
  questions_.erase(question);
}

void NameServer::give_up_late() {
  const base::Nanoseconds now = monotonic_now();
  for (auto question = questions_.begin(); question != questions_.end();) {
    const auto current = question++;
    if (current->deadline > now || ask_next(*current)) continue;
    answer_datagram(*current,
                    render_dns_failure(current->query, current->parsed, DnsCode::kServer));
    questions_.erase(current);
  }
  std::erase_if(streams_, [&](const Stream& stream) { return stream.deadline <= now; });
}

void NameServer::set_timer() {
  base::Nanoseconds next = 0;
  for (const Question& question : questions_) {
    if (next == 0 || question.deadline < next) next = question.deadline;
  }
  for (const Stream& stream : streams_) {
    if (next == 0 || stream.deadline < next) next = stream.deadline;
  }
  itimerspec when{};
  if (next != 0) next = std::max<base::Nanoseconds>(next, 1);
  when.it_value = {.tv_sec = next / 1'000'000'000, .tv_nsec = next % 1'000'000'000};
  timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void NameServer::accept_stream() {
  base::UniqueFd client(accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!client) return;
  if (streams_.size() >= kMostStreams) streams_.pop_front();
  watch(client.get(), EPOLLIN);
  Stream stream;
  stream.client = std::move(client);
  stream.deadline = monotonic_now() + kStreamPatience;
  streams_.push_back(std::move(stream));
}

// Our answers are short enough for the socket's buffer; a client that does not take one is gone.
void NameServer::read_stream(std::list<Stream>::iterator stream) {
  const bool is_open = read_some(stream->client.get(), stream->from_client);
  while (const auto query = take_packet(stream->from_client)) {
    const auto parsed = parse_dns_query(*query);
    const auto records = parsed ? hooks_.find(*parsed) : std::vector<DnsRecord>();
    if (!parsed || (!records && !start_relay(*stream, *query))) {
      streams_.erase(stream);
      return;
    }
    if (!records) break;  // one at a time is with the upstream
    const Bytes answer = with_length(render_dns_answer(*query, *parsed, *records, kLargestPacket));
    if (send(stream->client.get(), answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
  }
  if (!is_open) streams_.erase(stream);
}

bool NameServer::start_relay(Stream& stream, const Bytes& query) {
  const std::vector<IpAddress> upstreams = hooks_.upstreams();
  if (upstreams.empty()) return false;
  SocketAddress upstream(upstreams[turn_++ % upstreams.size()], kDnsPort);
  stream.upstream.reset(socket(upstream.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!stream.upstream) return false;
  if (connect(stream.upstream.get(), upstream.get(), upstream.size()) != 0 &&
      errno != EINPROGRESS) {
    return false;
  }
  stream.to_upstream = with_length(query);
  stream.from_upstream.clear();
  watch(stream.upstream.get(), EPOLLOUT);
  return true;
}

void NameServer::relay_answer(std::list<Stream>::iterator stream) {
  const int upstream = stream->upstream.get();
  if (!stream->to_upstream.empty()) {
    const ssize_t sent =
        send(upstream, stream->to_upstream.data(), stream->to_upstream.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(stream->to_upstream.size())) {
      streams_.erase(stream);
      return;
    }
    stream->to_upstream.clear();
    epoll_event event = {.events = EPOLLIN, .data = {.fd = upstream}};
    epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, upstream, &event);
    return;
  }
  const bool is_open = read_some(upstream, stream->from_upstream);
  const auto answer = take_packet(stream->from_upstream);
  if (answer) {
    const Bytes framed = with_length(*answer);
    // The client waits for it: what its socket does not take at once it never will.
    static_cast<void>(send(stream->client.get(), framed.data(), framed.size(), MSG_NOSIGNAL));
    stream->upstream.reset();
  } else if (!is_open) {
    streams_.erase(stream);
  }
}

}  // namespace network
