// talker: what a checkpoint has to keep talking. For guests, which have no Python.
//   talker receive SOCKET FILE  what comes to a datagram socket of that name goes into the file
//   talker send SOCKET          counts to that socket
//   talker tcp FILE             counts to itself over TCP and writes what has come into the file
#include <arpa/inet.h>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

void must(bool done, const char* what) {
  if (done) return;
  std::perror(what);
  std::exit(1);
}

sockaddr_un name_of(const char* path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  must(std::strlen(path) < sizeof address.sun_path, path);
  std::strcpy(address.sun_path, path);
  return address;
}

void keep(const char* path, const char* text, ssize_t size) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  must(fd >= 0 && write(fd, text, static_cast<size_t>(size)) == size, path);
  close(fd);
}

[[noreturn]] void receive(const char* socket_path, const char* file) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  const sockaddr_un address = name_of(socket_path);
  must(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "bind");
  for (;;) {
    char text[32];
    const ssize_t size = recv(fd, text, sizeof text, 0);
    if (size > 0) keep(file, text, size);
  }
}

void count_to(int fd, int number, const char* file, int other) {
  char text[32];
  const int size = std::snprintf(text, sizeof text, "%d\n", number);
  must(send(fd, text, static_cast<size_t>(size), 0) == size, "send");
  if (file != nullptr) keep(file, text, recv(other, text, sizeof text, 0));
  usleep(100'000);
}

[[noreturn]] void send_to(const char* socket_path) {
  const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  const sockaddr_un address = name_of(socket_path);
  must(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0, "connect");
  for (int number = 0;; ++number) count_to(fd, number, nullptr, -1);
}

[[noreturn]] void talk_to_self(const char* file) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(7000);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* const any = reinterpret_cast<const sockaddr*>(&address);
  const int listening = socket(AF_INET, SOCK_STREAM, 0);
  must(bind(listening, any, sizeof address) == 0 && listen(listening, 1) == 0, "listen");
  const int near = socket(AF_INET, SOCK_STREAM, 0);
  must(connect(near, any, sizeof address) == 0, "connect");
  const int far = accept(listening, nullptr, nullptr);
  must(far >= 0, "accept");
  for (int number = 0;; ++number) count_to(near, number, file, far);
}

}  // namespace

int main(int count, char** words) {
  if (count == 4 && std::strcmp(words[1], "receive") == 0) receive(words[2], words[3]);
  if (count == 3 && std::strcmp(words[1], "send") == 0) send_to(words[2]);
  if (count == 3 && std::strcmp(words[1], "tcp") == 0) talk_to_self(words[2]);
  return 2;
}
