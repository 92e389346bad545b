#include "network/netlink.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <libmnl/libmnl.h>
#include <libnftnl/common.h>

#include "base/error.h"
#include "network/background_close.h"

namespace network {
namespace {

constexpr std::size_t kReceiveSize = 32768;  // what the kernel fills at most in one go of a dump
constexpr std::size_t kDefaultSendSize = 128U << 10U;  // below every kernel's default SO_SNDBUF
// The kernel reserves a page for many of its answers: few enough not to overrun SO_RCVBUF.
constexpr std::size_t kRequestsAtOnce = 16;
constexpr int kDumpAttempts = 16;

nlmsghdr* header_at(Bytes& bytes, std::size_t offset) {
  return reinterpret_cast<nlmsghdr*>(bytes.data() + offset);
}

// Adds `message` to `all` under a sequence number of its own.
void append(Bytes& all, ByteSpan message, std::uint32_t sequence, std::uint16_t more_flags = 0) {
  const std::size_t offset = all.size();
  all.insert(all.end(), message.begin(), message.end());
  all.resize(MNL_ALIGN(all.size()));
  header_at(all, offset)->nlmsg_seq = sequence;
  header_at(all, offset)->nlmsg_flags |= more_flags;
}

void for_each_message(ByteSpan datagram, const auto& visit) {
  auto left = static_cast<int>(datagram.size());
  const auto* message = reinterpret_cast<const nlmsghdr*>(datagram.data());
  while (mnl_nlmsg_ok(message, left)) {
    visit(message);
    message = mnl_nlmsg_next(message, &left);
  }
}

// The errno of an NLMSG_ERROR or NLMSG_DONE; 0 is an acknowledgement.
int error_of(const nlmsghdr* message) {
  int error = 0;
  if (mnl_nlmsg_get_payload_len(message) >= sizeof error) {
    std::memcpy(&error, mnl_nlmsg_get_payload(message), sizeof error);
  }
  return -error;
}

// NLMSGERR_ATTR_MSG of an extended acknowledgement. See linux/netlink.h, enum nlmsgerr_attrs.
std::string words_of(const nlmsghdr* message) {
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return {};
  std::size_t skip = sizeof(nlmsgerr);
  if ((message->nlmsg_flags & NLM_F_CAPPED) == 0) {
    const auto* original = static_cast<const nlmsgerr*>(mnl_nlmsg_get_payload(message));
    skip += original->msg.nlmsg_len - sizeof(nlmsghdr);
  }
  const ByteSpan whole{reinterpret_cast<const std::uint8_t*>(message), message->nlmsg_len};
  return std::string(AttributeList::of_message(whole, skip).text(NLMSGERR_ATTR_MSG));
}

void set_option(const mnl_socket* socket, int option) {
  int on = 1;  // both are refinements: a kernel without them still answers
  mnl_socket_setsockopt(socket, option, &on, sizeof on);
}

}  // namespace

void throw_refusal(std::span<const Step> steps, const Netlink::Refusal& refusal) {
  std::string what = refusal.step < steps.size() ? steps[refusal.step].text : "netlink transaction";
  if (!refusal.words.empty()) what += " (" + refusal.words + ")";
  base::throw_errno(what, refusal.error);
}

void Netlink::Closer::operator()(mnl_socket* socket) const {
  std::optional<BackgroundClose> background;
  if (bus == Bus::kNetfilter) background.emplace(mnl_socket_get_fd(socket));
  mnl_socket_close(socket);
}

Netlink::Netlink(Bus bus)
    : socket_(
          mnl_socket_open2(bus == Bus::kRoute ? NETLINK_ROUTE : NETLINK_NETFILTER, SOCK_CLOEXEC),
          Closer{bus}) {
  if (!socket_) base::throw_errno("open netlink socket");
  base::check(mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID), "bind netlink socket");
  set_option(socket_.get(), NETLINK_EXT_ACK);
  set_option(socket_.get(), NETLINK_CAP_ACK);
  set_option(socket_.get(), NETLINK_GET_STRICT_CHK);
}

int Netlink::fd() const { return mnl_socket_get_fd(socket_.get()); }

void Netlink::send(ByteSpan bytes) {
  if (bytes.size() > kDefaultSendSize) {
    const int size = static_cast<int>(bytes.size() * 2);
    // CAP_NET_ADMIN lifts net.core.wmem_max; without it the send below says EMSGSIZE.
    setsockopt(fd(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  }
  overrun_ = false;
  base::check(mnl_socket_sendto(socket_.get(), bytes.data(), bytes.size()), "send netlink message");
}

ByteSpan Netlink::receive() {
  buffer_.resize(kReceiveSize);
  for (;;) {
    const ssize_t size = recv(fd(), buffer_.data(), buffer_.size(), MSG_DONTWAIT | MSG_TRUNC);
    if (size >= 0 && static_cast<std::size_t>(size) > buffer_.size()) {
      throw base::Error(base::ErrorKind::kSystem, "netlink answer is too long", EMSGSIZE);
    }
    if (size >= 0) return {buffer_.data(), static_cast<std::size_t>(size)};
    if (errno == EAGAIN) return {};
    if (errno == ENOBUFS) overrun_ = true;  // answers were dropped; the rest can still be read
    if (errno != ENOBUFS && errno != EINTR) base::throw_errno("receive netlink message");
  }
}

// Reads everything there is. Errors come in the order of the messages, then the acknowledgement of
// the last one; where that is missing and nobody complained, we do not know what happened.
std::optional<Netlink::Refusal> Netlink::collect_refusal(std::uint32_t first_sequence,
                                                         std::size_t count,
                                                         std::uint32_t acknowledged) {
  std::optional<Refusal> refusal;
  bool is_acknowledged = false;
  for (ByteSpan datagram = receive(); !datagram.empty(); datagram = receive()) {
    for_each_message(datagram, [&](const nlmsghdr* message) {
      if (message->nlmsg_type != NLMSG_ERROR) return;
      const int error = error_of(message);
      if (error == 0) is_acknowledged |= message->nlmsg_seq == acknowledged;
      const std::size_t step = message->nlmsg_seq - first_sequence;
      if (error != 0 && !refusal) {
        refusal = {step < count ? step : count, error, words_of(message)};
      }
    });
  }
  if (!refusal && !is_acknowledged) refusal = {count, overrun_ ? ENOBUFS : EPROTO, {}};
  return refusal;
}

std::optional<Netlink::Refusal> Netlink::try_apply(std::span<const Step> steps) {
  if (steps.empty()) return {};
  const std::uint32_t first = next_sequence_;
  Bytes all;
  for (const Step& step : steps) {
    const bool is_last = &step == &steps.back();
    append(all, step.message, next_sequence_++, is_last ? NLM_F_ACK : 0);
  }
  send(all);
  return collect_refusal(first, steps.size(), next_sequence_ - 1);
}

void Netlink::apply(std::span<const Step> steps) {
  if (const auto refusal = try_apply(steps)) throw_refusal(steps, *refusal);
}

std::optional<Netlink::Refusal> Netlink::try_commit(std::span<const Step> steps,
                                                    std::optional<std::uint32_t> generation) {
  if (steps.empty()) return {};
  alignas(8) std::array<char, 64> frame{};
  const auto frame_span = [&] {
    return ByteSpan{reinterpret_cast<const std::uint8_t*>(frame.data()),
                    reinterpret_cast<const nlmsghdr*>(frame.data())->nlmsg_len};
  };
  Bytes all;
  nlmsghdr* const begin = nftnl_batch_begin(frame.data(), 0);
  if (generation) mnl_attr_put_u32(begin, NFNL_BATCH_GENID, htonl(*generation));
  append(all, frame_span(), next_sequence_++);
  const std::uint32_t first = next_sequence_;
  for (const Step& step : steps) {
    const bool is_last = &step == &steps.back();
    append(all, step.message, next_sequence_++, is_last ? NLM_F_ACK : 0);
  }
  const std::uint32_t last = next_sequence_ - 1;
  frame.fill(0);
  nftnl_batch_end(frame.data(), 0);
  append(all, frame_span(), next_sequence_++);
  send(all);
  return collect_refusal(first, steps.size(), last);
}

void Netlink::commit(std::span<const Step> steps) {
  if (const auto refusal = try_commit(steps)) throw_refusal(steps, *refusal);
}

std::vector<Netlink::Answer> Netlink::ask(std::span<const Bytes> requests) {
  std::vector<Answer> answers;
  answers.reserve(requests.size());
  while (answers.size() < requests.size()) {
    const std::size_t left = requests.size() - answers.size();
    ask_some(requests.subspan(answers.size(), std::min(left, kRequestsAtOnce)), answers);
  }
  return answers;
}

void Netlink::ask_some(std::span<const Bytes> requests, std::vector<Answer>& answers) {
  const std::uint32_t first = next_sequence_;
  Bytes all;
  for (const Bytes& request : requests) append(all, request, next_sequence_++);
  send(all);

  const std::size_t start = answers.size();
  answers.resize(start + requests.size());
  std::vector<bool> complete(requests.size());
  for (ByteSpan datagram = receive(); !datagram.empty(); datagram = receive()) {
    for_each_message(datagram, [&](const nlmsghdr* message) {
      const std::size_t index = message->nlmsg_seq - first;
      if (index >= requests.size()) return;
      Answer& answer = answers[start + index];
      if ((message->nlmsg_flags & NLM_F_DUMP_INTR) != 0) answer.interrupted = true;
      if (message->nlmsg_type == NLMSG_ERROR || message->nlmsg_type == NLMSG_DONE) {
        answer.error = error_of(message);
        complete[index] = true;
        return;
      }
      const auto* bytes = reinterpret_cast<const std::uint8_t*>(message);
      answer.messages.emplace_back(bytes, bytes + message->nlmsg_len);
      if ((message->nlmsg_flags & NLM_F_MULTI) == 0) complete[index] = true;
    });
  }
  if (std::find(complete.begin(), complete.end(), false) != complete.end()) {
    base::throw_errno("netlink answer", overrun_ ? ENOBUFS : EPROTO);
  }
}

Netlink::Answer Netlink::ask(const Bytes& request) {
  return std::move(ask(std::span(&request, 1)).front());
}

std::vector<Bytes> Netlink::dump(const Bytes& request, std::string_view what) {
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    Answer answer = ask(request);
    if (answer.error == EINTR || answer.interrupted) continue;
    if (answer.error != 0) base::throw_errno(what, answer.error);
    return std::move(answer.messages);
  }
  base::throw_errno(what, EINTR);
}

}  // namespace network
