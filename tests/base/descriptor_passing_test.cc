#include "base/descriptor_passing.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "base/cleanup.h"

namespace base {
namespace {

struct Pair {
  UniqueFd left, right;
};

Pair make_pair(int type) {
  int ends[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

ino_t inode_of(int fd) {
  struct stat info = {};
  EXPECT_EQ(fstat(fd, &info), 0);
  return info.st_ino;
}

std::size_t count_descriptors() {
  const CHandle<DIR, closedir> folder(opendir("/proc/self/fd"));
  std::size_t count = 0;
  while (readdir(folder.get()) != nullptr) ++count;
  return count;
}

TEST(DescriptorPassing, BytesAndDescriptorArriveTogether) {
  for (const int type : {SOCK_STREAM, SOCK_SEQPACKET}) {
    const Pair pair = make_pair(type);
    const UniqueFd file(open("/dev/null", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(send_with_descriptor(pair.left.get(), "hello", file.get()), 5);
    std::array<char, 16> buffer = {};
    UniqueFd got;
    ASSERT_EQ(receive_with_descriptor(pair.right.get(), buffer, got), 5);
    EXPECT_STREQ(buffer.data(), "hello");
    ASSERT_TRUE(got);
    EXPECT_NE(got.get(), file.get());
    EXPECT_EQ(inode_of(got.get()), inode_of(file.get()));
    EXPECT_EQ(fcntl(got.get(), F_GETFD), FD_CLOEXEC);
  }
}

TEST(DescriptorPassing, PlainBytesBringNoDescriptor) {
  const Pair pair = make_pair(SOCK_STREAM);
  ASSERT_EQ(send(pair.left.get(), "x", 1, 0), 1);
  std::array<char, 16> buffer = {};
  UniqueFd got(open("/dev/null", O_RDONLY | O_CLOEXEC));  // closed, not kept by mistake
  EXPECT_EQ(receive_with_descriptor(pair.right.get(), buffer, got), 1);
  EXPECT_FALSE(got);
}

TEST(DescriptorPassing, SeveralDescriptorsLeakNothing) {
  const Pair pair = make_pair(SOCK_STREAM);
  const std::size_t before = count_descriptors();
  for (int many = 2; many <= 4; ++many) {
    char byte = 'x';
    iovec vector = {.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = {};
    msghdr message = {};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(static_cast<std::size_t>(many) * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(static_cast<std::size_t>(many) * sizeof(int));
    const std::array<int, 4> fds = {pair.left.get(), pair.left.get(), pair.left.get(),
                                    pair.left.get()};
    std::memcpy(CMSG_DATA(header), fds.data(), static_cast<std::size_t>(many) * sizeof(int));
    ASSERT_EQ(sendmsg(pair.left.get(), &message, 0), 1);
    std::array<char, 16> buffer = {};
    UniqueFd got;
    ASSERT_EQ(receive_with_descriptor(pair.right.get(), buffer, got), 1);
    EXPECT_TRUE(got);
  }
  EXPECT_EQ(count_descriptors(), before);
}

TEST(DescriptorPassing, AClosedEndIsAnErrorHereAndTheEndThere) {
  Pair pair = make_pair(SOCK_STREAM);
  pair.left.reset();
  std::array<char, 16> buffer = {};
  UniqueFd got;
  EXPECT_EQ(receive_with_descriptor(pair.right.get(), buffer, got), 0);
  EXPECT_EQ(send_with_descriptor(pair.right.get(), "x", 0), -1);
  EXPECT_EQ(errno, EPIPE);
}

}  // namespace
}  // namespace base
