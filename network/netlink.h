// Netlink: a socket to the kernel that applies steps, commits nftables transactions and asks
// questions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/cleanup.h"
#include "network/bridge.h"
#include "network/message.h"

struct mnl_socket;

namespace network {

// The kernel answers a netlink request before sendmsg(2) returns (both rtnetlink and nfnetlink work
// in the sender's context), so nothing here ever waits. One socket belongs to one thread.
class Netlink {
 public:
  enum class Bus : std::uint8_t { kRoute, kNetfilter };
  // Opens the socket in the current network namespace, where it stays whatever the thread does.
  explicit Netlink(Bus bus);

  int fd() const;

  struct Refusal {
    std::size_t step =
        0;  // index into the steps; their count where the transaction as a whole failed
    int error = 0;
    std::string words;  // the kernel's own, often empty
  };

  // All messages in one sendmsg(2). rtnetlink carries out every message by itself: those behind a
  // refused one have happened too. Returns the first refusal.
  std::optional<Refusal> try_apply(std::span<const Step> steps);
  // The same; a refusal is thrown, named after its step.
  void apply(std::span<const Step> steps);

  // One nftables transaction: all or nothing. With a generation it happens only if no other
  // transaction came in between (refused with ERESTART, which is cheap; any other refusal costs the
  // kernel an RCU grace period).
  std::optional<Refusal> try_commit(std::span<const Step> steps,
                                    std::optional<std::uint32_t> generation = {});
  void commit(std::span<const Step> steps);

  struct Answer {
    int error = 0;             // ENODEV, ENOENT: no such thing
    bool interrupted = false;  // the dump ran while its subject changed
    std::vector<Bytes> messages;
  };
  // Sends many requests at once; the answers come in their order. At most one may be a dump.
  std::vector<Answer> ask(std::span<const Bytes> requests);
  Answer ask(const Bytes& request);

  // A whole dump, repeated until it is consistent. Throws, naming `what`.
  std::vector<Bytes> dump(const Bytes& request, std::string_view what);

 private:
  struct Closer {
    Bus bus = Bus::kRoute;
    void operator()(mnl_socket* socket) const;
  };

  void send(ByteSpan bytes);
  void ask_some(std::span<const Bytes> requests, std::vector<Answer>& answers);
  // What one recvmsg(2) holds now; empty where nothing is left. Sets overrun_ on ENOBUFS.
  ByteSpan receive();
  std::optional<Refusal> collect_refusal(std::uint32_t first_sequence, std::size_t count,
                                         std::uint32_t acknowledged);

  std::unique_ptr<mnl_socket, Closer> socket_;
  std::vector<std::uint8_t> buffer_;
  std::uint32_t next_sequence_ = 1;
  bool overrun_ = false;
};

// Throws the Error for a refused step: "<step>: <errno> (<kernel's words>)".
[[noreturn]] void throw_refusal(std::span<const Step> steps, const Netlink::Refusal& refusal);

}  // namespace network
