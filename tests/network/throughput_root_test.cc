// A published port under load: 64 MB each way round, compared byte for byte by their hash.
#include <chrono>
#include <cstring>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "tests/network/world.h"

namespace network_test {
namespace {

constexpr std::size_t kTotal = 64U << 20U;
constexpr std::size_t kPiece = 1U << 18U;
constexpr int kStallMilliseconds = 10'000;  // a transfer that moves nothing for so long has failed
const Ipv4 kAny{0};
const Ipv4 kLocalhost = Ipv4::parse("127.0.0.1");
const Ipv4 kHostAddress = Ipv4::parse("198.51.100.1");

// FNV-1a over 8-byte words.
class Hash {
 public:
  void add(const char* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      word_ = word_ << 8U | static_cast<unsigned char>(data[i]);
      if (++count_ % 8 == 0) value_ = (value_ ^ word_) * 0x100000001b3U;
    }
  }
  std::uint64_t value() const { return value_ ^ count_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325U, word_ = 0, count_ = 0;
};

bool wait_for(int fd, short events) {
  pollfd item{fd, events, 0};
  return poll(&item, 1, kStallMilliseconds) == 1;
}

// Random bytes until kTotal are written; the hash of what was.
std::uint64_t send_all(int fd, unsigned seed) {
  std::mt19937_64 random(seed);
  std::vector<char> piece(kPiece);
  Hash hash;
  for (std::size_t sent = 0; sent < kTotal; sent += kPiece) {
    for (std::size_t i = 0; i < kPiece; i += 8) {
      const std::uint64_t word = random();
      std::memcpy(piece.data() + i, &word, sizeof word);
    }
    hash.add(piece.data(), piece.size());
    for (std::size_t done = 0; done < kPiece;) {
      const ssize_t count = send(fd, piece.data() + done, kPiece - done, MSG_NOSIGNAL);
      if (count > 0) done += static_cast<std::size_t>(count);
      if (count <= 0 && (errno != EAGAIN || !wait_for(fd, POLLOUT))) return 0;
    }
  }
  shutdown(fd, SHUT_WR);
  return hash.value();
}

struct Received {
  std::size_t size = 0;
  std::uint64_t hash = 0;
};

Received receive_all(int fd) {
  std::vector<char> piece(kPiece);
  Hash hash;
  Received received;
  while (wait_for(fd, POLLIN)) {
    const ssize_t count = recv(fd, piece.data(), piece.size(), 0);
    if (count == 0 || (count < 0 && errno != EAGAIN)) break;
    if (count < 0) continue;
    hash.add(piece.data(), static_cast<std::size_t>(count));
    received.size += static_cast<std::size_t>(count);
  }
  received.hash = hash.value();
  return received;
}

class Throughput : public World {
 protected:
  void SetUp() override {
    World::SetUp();
    if (IsSkipped()) return;
    add_outside();
    web_.emplace(start(1, {{kAny, 8080, 80, Protocol::kTcp}}));
    server_ = serve(web_->fd(), Protocol::kTcp, kAny, 80);
  }

  // Both directions at once through one connection.
  void transfer(int client_netns, Ipv4 address) {
    UniqueFd client;
    {
      const network::InsideNetwork inside(client_netns);
      client.reset(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      const sockaddr_in name = socket_address(address, 8080);
      ASSERT_EQ(connect(client.get(), reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
    }
    ASSERT_TRUE(wait_readable(server_, kPatience));
    const UniqueFd accepted(accept4(server_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    ASSERT_TRUE(accepted);
    base::check(fcntl(client.get(), F_SETFL, O_NONBLOCK), "fcntl");
    const auto begin = std::chrono::steady_clock::now();
    std::uint64_t up = 0;
    std::uint64_t down = 0;
    Received by_server;
    std::thread uploader([&] { up = send_all(client.get(), 1); });
    std::thread downloader([&] { down = send_all(accepted.get(), 2); });
    std::thread reader([&] { by_server = receive_all(accepted.get()); });
    const Received by_client = receive_all(client.get());
    for (std::thread* thread : {&uploader, &downloader, &reader}) thread->join();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    EXPECT_EQ(by_server.size, kTotal);
    EXPECT_EQ(by_client.size, kTotal);
    EXPECT_EQ(by_server.hash, up);
    EXPECT_EQ(by_client.hash, down);
    EXPECT_NE(up, down);
    std::printf("%zu MB each way in %.2f s\n", kTotal >> 20U, took.count());
    EXPECT_LT(took.count(), 30) << "some 100 times what a veth pair takes";
  }

  std::optional<Machine> web_;
  UniqueFd server_;
};

TEST_F(Throughput, ThroughTheHostsLoopback) { transfer(host_.get(), kLocalhost); }
TEST_F(Throughput, FromAnotherHost) { transfer(other_host_.fd(), kHostAddress); }
TEST_F(Throughput, FromTheContainerItself) { transfer(web_->fd(), kHostAddress); }

}  // namespace
}  // namespace network_test
