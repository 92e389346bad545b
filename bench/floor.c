// The floor: what the kernel alone takes for one container. The same system calls as a run of sampan, with nothing planned,
// parsed, recorded or checked: bench.py compiles this and measures it beside the engines.
//
//   floor [--bridge NAME] --cgroup /PARENT --filter FILE (--lower DIR --folder DIR | --rootfs DIR) [--files DIR] PROGRAM [ARG...]
//
// --filter: a file of sampan's filter cache (runtime/seccomp_cache.cc). --lower: an image's layer; --folder: below it lies what the
// container writes. --rootfs: a bundle's root instead, bound read-only. --files: where resolv.conf, hostname and hosts lie.
// PROGRAM is a path. Its network is 10.253.0.0/16. It waits for the container, and cleans up before it ends.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const kControllers[] = {"cpu", "cpuacct", "memory", "devices", "freezer", "pids"};
enum { kControllerCount = sizeof kControllers / sizeof kControllers[0] };

static struct {
  const char *bridge, *cgroup, *filter, *lower, *folder, *rootfs, *files;
  char **argv;
  char groups[kControllerCount][256];
  int tasks[kControllerCount];
  int sys;                // the container's /proc/sys
  int netlink;            // a socket of the host's network namespace
  unsigned bridge_index;
  char link[IFNAMSIZ];
  char written[512];      // what the container writes
  struct sock_fprog program;
} self;

static void check(long result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  _exit(125);
}

static void put(const char *path, const char *text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) check(-1, path);
  close(fd);
}

// --- Before the clone.

static void load_filter(void) {
  static char bytes[1 << 20];
  const int fd = open(self.filter, O_RDONLY | O_CLOEXEC);
  check(fd, self.filter);
  check(read(fd, bytes, sizeof bytes), self.filter);
  close(fd);
  uint32_t sizes[2];  // of the key and of the program, after eight bytes of magic
  memcpy(sizes, bytes + 8, sizeof sizes);
  self.program.len = (unsigned short)sizes[1];
  self.program.filter = (struct sock_filter *)(bytes + 24 + sizes[0]);
}

static void limit_devices(const char *group) {
  static const char *const kAllowed[] = {"c 1:5 rwm", "c 1:3 rwm", "c 1:9 rwm", "c 1:8 rwm", "c 5:0 rwm", "c 5:1 rwm",
                                         "c *:* m",   "b *:* m",   "c 1:7 rwm", "c 5:2 rwm", "c 136:* rwm"};
  char file[300];
  snprintf(file, sizeof file, "%s/devices.deny", group);
  put(file, "a");
  snprintf(file, sizeof file, "%s/devices.allow", group);
  for (size_t i = 0; i < sizeof kAllowed / sizeof *kAllowed; ++i) put(file, kAllowed[i]);
}

static void make_cgroups(void) {
  for (int i = 0; i < kControllerCount; ++i) {
    snprintf(self.groups[i], sizeof self.groups[i], "/sys/fs/cgroup/%s%s/floor-%d", kControllers[i], self.cgroup, getpid());
    self.tasks[i] = -1;
    if (mkdir(self.groups[i], 0755) != 0) {
      self.groups[i][0] = '\0';  // not a controller of this machine's version 1
      continue;
    }
    if (strcmp(kControllers[i], "devices") == 0) limit_devices(self.groups[i]);
    char file[300];
    snprintf(file, sizeof file, "%s/tasks", self.groups[i]);
    self.tasks[i] = open(file, O_WRONLY | O_CLOEXEC);
  }
}

// --- The network: one message to the host's side, one to the container's.

struct request {
  struct nlmsghdr *last;
  size_t size;
  char bytes[2048];
};

static void *begin(struct request *request, int type, int flags, const void *body, size_t size) {
  struct nlmsghdr *header = (struct nlmsghdr *)(request->bytes + request->size);
  memset(header, 0, NLMSG_SPACE(size));
  header->nlmsg_len = (uint32_t)NLMSG_LENGTH(size);
  header->nlmsg_type = (uint16_t)type;
  header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
  memcpy(NLMSG_DATA(header), body, size);
  request->last = header;
  request->size += NLMSG_SPACE(size);
  return header;
}

static struct rtattr *attribute(struct request *request, int type, const void *data, size_t size) {
  struct rtattr *rta = (struct rtattr *)(request->bytes + request->size);
  rta->rta_type = (unsigned short)type;
  rta->rta_len = (unsigned short)RTA_LENGTH(size);
  if (size > 0) memcpy(RTA_DATA(rta), data, size);
  request->size += RTA_SPACE(size);
  request->last->nlmsg_len = (uint32_t)(request->bytes + request->size - (char *)request->last);
  return rta;
}

static void end_nest(struct request *request, struct rtattr *nest) {
  nest->rta_len = (unsigned short)(request->bytes + request->size - (char *)nest);
}

static void send_request(int socket_fd, const struct request *request, int answers) {
  check(send(socket_fd, request->bytes, request->size, 0), "netlink");
  char buffer[8192];
  while (answers > 0) {
    long left = recv(socket_fd, buffer, sizeof buffer, 0);
    check(left, "netlink");
    for (struct nlmsghdr *header = (struct nlmsghdr *)buffer; NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      const struct nlmsgerr *error = NLMSG_DATA(header);
      if (header->nlmsg_type == NLMSG_ERROR && error->error != 0) {
        errno = -error->error;
        check(-1, "netlink answers");
      }
      --answers;
    }
  }
}

// The caller is in the container's network namespace.
static void make_veth(void) {
  const int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  check(here, "network namespace");
  struct request request = {0};
  struct ifinfomsg link = {.ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(&request, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
  attribute(&request, IFLA_IFNAME, self.link, strlen(self.link) + 1);
  attribute(&request, IFLA_MASTER, &self.bridge_index, sizeof self.bridge_index);
  struct rtattr *info = attribute(&request, IFLA_LINKINFO, NULL, 0);
  attribute(&request, IFLA_INFO_KIND, "veth", 4);
  struct rtattr *data = attribute(&request, IFLA_INFO_DATA, NULL, 0);
  struct ifinfomsg peer_link = {.ifi_index = 2};
  struct rtattr *peer = attribute(&request, VETH_INFO_PEER, &peer_link, sizeof peer_link);
  attribute(&request, IFLA_IFNAME, "eth0", 5);
  attribute(&request, IFLA_NET_NS_FD, &here, sizeof here);
  end_nest(&request, peer);
  end_nest(&request, data);
  end_nest(&request, info);
  send_request(self.netlink, &request, 1);
  close(here);
}

static void configure_network(void) {
  const int inside = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  check(inside, "netlink");
  struct request request = {0};
  struct ifinfomsg up = {.ifi_index = 1, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
  begin(&request, RTM_NEWLINK, 0, &up, sizeof up);
  int answers = 1;
  if (self.bridge != NULL) {
    up.ifi_index = 2;
    begin(&request, RTM_NEWLINK, 0, &up, sizeof up);
    const in_addr_t address = inet_addr("10.253.0.2");
    const in_addr_t gateway = inet_addr("10.253.0.1");
    const struct ifaddrmsg on_link = {.ifa_family = AF_INET, .ifa_prefixlen = 16, .ifa_index = 2};
    begin(&request, RTM_NEWADDR, NLM_F_CREATE, &on_link, sizeof on_link);
    attribute(&request, IFA_LOCAL, &address, sizeof address);
    const struct rtmsg route = {.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
    begin(&request, RTM_NEWROUTE, NLM_F_CREATE, &route, sizeof route);
    attribute(&request, RTA_GATEWAY, &gateway, sizeof gateway);
    answers = 4;
  }
  send_request(inside, &request, answers);
  close(inside);
}

// --- In the child.

static void mount_or_die(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
  check(mount(source, target, type, flags, data), target);
}

static void mount_root(void) {
  mount_or_die(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
  if (self.rootfs != NULL) {
    mount_or_die(self.rootfs, self.rootfs, NULL, MS_BIND, NULL);
    check(chdir(self.rootfs), self.rootfs);
    return;
  }
  char data[2048];
  snprintf(data, sizeof data, "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,index=off,metacopy=off,volatile", self.lower, self.written,
           self.written);
  // Over the lower directory: in our own mount namespace it is as good a place as any.
  mount_or_die("overlay", self.lower, "overlay", 0, data);
  check(chdir(self.lower), self.lower);
}

static void bind_cgroups(void) {
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  mount_or_die("tmpfs", "sys/fs/cgroup", "tmpfs", flags, "mode=755");
  for (int i = 0; i < kControllerCount; ++i) {
    if (self.groups[i][0] == '\0') continue;
    char target[64];
    snprintf(target, sizeof target, "sys/fs/cgroup/%s", kControllers[i]);
    check(mkdir(target, 0755), target);
    mount_or_die(self.groups[i], target, NULL, MS_BIND, NULL);
    mount_or_die(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags, NULL);
  }
  mount_or_die(NULL, "sys/fs/cgroup", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags, NULL);
}

static void mount_standard(void) {
  const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
  static const char *const kTargets[] = {"proc", "dev", "sys", "etc"};
  for (int i = 0; i < 4; ++i) mkdir(kTargets[i], 0755);  // most images have them
  mount_or_die("proc", "proc", "proc", flags, NULL);
  self.sys = open("proc/sys", O_PATH | O_CLOEXEC);  // before it is made read-only
  mount_or_die("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
  check(mkdir("dev/pts", 0755) | mkdir("dev/mqueue", 0755) | mkdir("dev/shm", 0755), "dev");
  mount_or_die("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
  mount_or_die("sysfs", "sys", "sysfs", flags | MS_RDONLY, NULL);
  bind_cgroups();
  mount_or_die("mqueue", "dev/mqueue", "mqueue", flags, NULL);
  mount_or_die("shm", "dev/shm", "tmpfs", flags, "mode=1777,size=67108864");
}

static void bind_files(void) {
  static const char *const kNames[] = {"resolv.conf", "hostname", "hosts"};
  if (self.files == NULL) return;
  for (int i = 0; i < 3; ++i) {
    char source[512];
    char target[64];
    snprintf(source, sizeof source, "%s/%s", self.files, kNames[i]);
    snprintf(target, sizeof target, "etc/%s", kNames[i]);
    close(open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    mount_or_die(source, target, NULL, MS_BIND, NULL);
  }
}

static void make_devices(void) {
  static const struct {
    const char *path;
    unsigned major, minor;
  } kDevices[] = {{"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7}, {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
  for (int i = 0; i < 6; ++i) check(mknod(kDevices[i].path, S_IFCHR | 0666, makedev(kDevices[i].major, kDevices[i].minor)), "mknod");
  check(symlink("pts/ptmx", "dev/ptmx") | symlink("/proc/self/fd", "dev/fd") | symlink("/proc/self/fd/0", "dev/stdin") |
            symlink("/proc/self/fd/1", "dev/stdout") | symlink("/proc/self/fd/2", "dev/stderr") | symlink("/proc/kcore", "dev/core"),
        "symlink");
}

static void mask_paths(void) {
  static const char *const kReadOnly[] = {"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger"};
  static const char *const kMasked[] = {"proc/acpi",        "proc/asound", "proc/interrupts", "proc/kcore",       "proc/keys",
                                        "proc/latency_stats", "proc/sched_debug", "proc/scsi", "proc/timer_list", "proc/timer_stats",
                                        "sys/devices/virtual/powercap", "sys/firmware"};
  for (int i = 0; i < 5; ++i) {
    if (mount(kReadOnly[i], kReadOnly[i], NULL, MS_BIND | MS_REC, NULL) != 0) continue;  // not in this kernel
    mount_or_die(NULL, kReadOnly[i], NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  }
  for (int i = 0; i < 12; ++i) {
    struct stat info;
    if (stat(kMasked[i], &info) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      mount_or_die("tmpfs", kMasked[i], "tmpfs", MS_RDONLY, "size=0k");
    } else {
      mount_or_die("dev/null", kMasked[i], NULL, MS_BIND, NULL);
    }
  }
}

static void enter_root(void) {
  if (self.rootfs != NULL) mount_or_die(NULL, ".", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
  check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  check(umount2(".", MNT_DETACH), "umount");
  check(chdir("/"), "/");
}

static void write_sysctls(void) {
  static const char *const kPairs[][2] = {{"net/ipv4/ip_unprivileged_port_start", "0"}, {"net/ipv4/ping_group_range", "0 2147483647"}};
  for (int i = 0; i < 2; ++i) {
    const int fd = openat(self.sys, kPairs[i][0], O_WRONLY | O_CLOEXEC);
    check(fd, kPairs[i][0]);
    check(write(fd, kPairs[i][1], strlen(kPairs[i][1])), kPairs[i][0]);
    close(fd);
  }
  close(self.sys);
}

static void set_capabilities(uint64_t mask) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {{(uint32_t)mask, (uint32_t)mask, 0}, {(uint32_t)(mask >> 32), (uint32_t)(mask >> 32), 0}};
  check(syscall(SYS_capset, &header, data), "capset");
}

static void become_user(void) {
  const uint64_t kept = 0xa80425fb;  // docker's fourteen
  for (int capability = 0; capability <= 40; ++capability) {
    if ((kept >> capability & 1) == 0) check(prctl(PR_CAPBSET_DROP, capability, 0, 0, 0), "bounding set");
  }
  const gid_t group = 0;
  check(syscall(SYS_setgroups, 1, &group), "setgroups");
  check(syscall(SYS_setresgid, 0, 0, 0) | syscall(SYS_setresuid, 0, 0, 0), "ids");
  check(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "prctl");
  set_capabilities(kept | UINT64_C(1) << CAP_SYS_ADMIN);
  check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &self.program), "seccomp");
  set_capabilities(kept);
}

static int be_container(void *unused) {
  (void)unused;
  for (int i = 0; i < kControllerCount; ++i) {
    if (self.tasks[i] >= 0) check(write(self.tasks[i], "0", 1), self.groups[i]);
  }
  check(unshare(CLONE_NEWCGROUP), "cgroup namespace");
  setsid();
  if (self.bridge != NULL) make_veth();
  configure_network();
  mount_root();
  mount_standard();
  bind_files();
  make_devices();
  mask_paths();
  enter_root();
  check(sethostname("floor", 5), "hostname");
  write_sysctls();
  syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, "floor", 0, 0, 0);
  syscall(SYS_close_range, 3, ~0U, 4 /* CLOSE_RANGE_CLOEXEC */);
  become_user();
  char *const environment[] = {"PATH=/bin", "HOME=/root", NULL};
  execve(self.argv[0], self.argv, environment);
  check(-1, self.argv[0]);
  return 127;
}

// --- Around it.

static void make_written(void) {
  char path[600];
  snprintf(self.written, sizeof self.written, "%s/%d", self.folder, getpid());
  check(mkdir(self.written, 0700), self.written);
  snprintf(path, sizeof path, "%s/upper", self.written);
  check(mkdir(path, 0755), path);
  snprintf(path, sizeof path, "%s/work", self.written);
  check(mkdir(path, 0755), path);
}

static void open_network(void) {
  self.bridge_index = if_nametoindex(self.bridge);
  check(self.bridge_index == 0 ? -1 : 0, self.bridge);
  snprintf(self.link, sizeof self.link, "floor%d", getpid());
  self.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  check(self.netlink, "netlink");
}

static void clean_up(void) {
  for (int i = 0; i < kControllerCount; ++i) {
    if (self.groups[i][0] != '\0') rmdir(self.groups[i]);
  }
  char gone[600];
  snprintf(gone, sizeof gone, "%s/trash-%d", self.folder != NULL ? self.folder : "", getpid());
  if (self.folder != NULL) check(rename(self.written, gone), gone);
}

static void parse(int argc, char **argv) {
  int next = 1;
  for (; next + 1 < argc && strncmp(argv[next], "--", 2) == 0; next += 2) {
    const char *const name = argv[next];
    const char *const value = argv[next + 1];
    if (strcmp(name, "--bridge") == 0) self.bridge = value;
    if (strcmp(name, "--cgroup") == 0) self.cgroup = value;
    if (strcmp(name, "--filter") == 0) self.filter = value;
    if (strcmp(name, "--rootfs") == 0) self.rootfs = value;
    if (strcmp(name, "--files") == 0) self.files = value;
    if (strcmp(name, "--lower") == 0) self.lower = value;
    if (strcmp(name, "--folder") == 0) self.folder = value;
  }
  self.argv = argv + next;
  if (next < argc && self.cgroup != NULL && self.filter != NULL && (self.rootfs != NULL || (self.lower != NULL && self.folder != NULL))) return;
  fputs("floor: see the top of floor.c\n", stderr);
  exit(125);
}

int main(int argc, char **argv) {
  parse(argc, argv);
  umask(0);
  load_filter();
  if (self.folder != NULL) make_written();
  make_cgroups();
  if (self.bridge != NULL) open_network();
  static _Alignas(16) char stack[65536];
  // As vfork(2): nothing is copied, and we sleep until the program executes.
  const int flags = CLONE_VM | CLONE_VFORK | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNET | SIGCHLD;
  const pid_t child = clone(be_container, stack + sizeof stack, flags, NULL);
  check(child, "clone");
  int status = 0;
  check(waitpid(child, &status, 0), "wait");
  clean_up();
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
