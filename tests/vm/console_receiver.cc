// console_receiver SOCKET: takes a terminal's master as --console-socket sends it, writes all that
// it shows to stdout, and types what comes from stdin. For guests, which have no Python.
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace {

int receive_descriptor(int connection) {
  char name[64];
  iovec data = {name, sizeof name};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(connection, &message, 0) <= 0) return -1;
  const cmsghdr* const header = CMSG_FIRSTHDR(&message);
  if (header == nullptr || header->cmsg_type != SCM_RIGHTS) return -1;
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

bool copy(int from, int to) {
  char buffer[4096];
  const ssize_t size = read(from, buffer, sizeof buffer);
  return size > 0 && write(to, buffer, static_cast<size_t>(size)) == size;
}

}  // namespace

int main(int count, char** words) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (count != 2 || std::strlen(words[1]) >= sizeof address.sun_path) return 2;
  std::strcpy(address.sun_path, words[1]);
  const int listening = socket(AF_UNIX, SOCK_STREAM, 0);
  if (bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return 1;
  listen(listening, 1);
  const int master = receive_descriptor(accept(listening, nullptr, nullptr));
  if (master < 0) return 1;
  pollfd items[] = {{master, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  while (poll(items, 2, -1) > 0) {
    if (items[0].revents != 0 && !copy(master, STDOUT_FILENO)) return 0;
    if (items[1].revents != 0 && !copy(STDIN_FILENO, master)) items[1].fd = -1;
  }
}
