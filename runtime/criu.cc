#include "runtime/criu.h"

#include <algorithm>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/descriptor_passing.h"
#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/trace.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;
using base::UniqueFd;

// Fields of criu's rpc.proto: of criu_req, criu_opts, and of what has two of them: inherit_fd,
// criu_page_server_info, cgroup_root, join_namespace.
enum RequestField : std::uint8_t {
  kRequestType = 1,
  kOptions = 2,
  kNotifySuccess = 3,
  kFeatures = 5
};
enum OptionField : std::uint8_t {
  kImagesDirFd = 1,
  kPid = 2,
  kLeaveRunning = 3,
  kExtUnixSk = 4,
  kTcpEstablished = 5,
  kShellJob = 7,
  kFileLocks = 8,
  kLogLevel = 9,
  kLogFile = 10,
  kPageServer = 11,
  kNotifyScripts = 12,
  kRoot = 13,
  kParentImages = 14,
  kTrackMemory = 15,
  kAutoDedup = 16,
  kWorkDirFd = 17,
  kLinkRemap = 18,
  kCgroupRoot = 25,
  kRestoreSibling = 26,
  kInheritFd = 27,
  kManageCgroupsMode = 34,
  kExternal = 37,
  kEmptyNamespaces = 38,
  kJoinNamespace = 39,
  kFreezeCgroup = 44,
  kTcpSkipInFlight = 46,
  kLazyPages = 48,
  kStatusFd = 49,
  kOrphanPtsMaster = 50,
  kConfigFile = 51,
  kLsmProfile = 53,
  kLsmMountContext = 63,
  kNetworkLock = 64,
};
enum PairField : std::uint8_t { kFirst = 1, kSecond = 2 };

constexpr std::uint64_t kAllWords = 4;    // of its log levels
constexpr std::uint64_t kByNftables = 2;  // criu_network_lock_method

constexpr int kFirstFree = 4;  // descriptors of criu's: 0 to 2, the socket
constexpr std::size_t kLargestAnswer = 65536;

// Empty where there is none.
std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  for (const char* folder :
       {"/usr/local/sbin/", "/usr/local/bin/", "/usr/sbin/", "/usr/bin/", "/sbin/", "/bin/"}) {
    if (access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return {};
}

const char* name_of(CriuAction action) {
  switch (action) {
    case CriuAction::kDump:
      return "dump";
    case CriuAction::kSinglePreDump:
      return "pre-dump";
    default:
      return "restore";
  }
}

// Of errors that only say that there was another one before.
constexpr const char* kEmptyWords[] = {"FAILED.", "exited, status=", "Dump files (pid",
                                       "Unable to open fd="};

// The last thing that criu called an error and that says more than that it failed; with the place
// where all of it is.
std::string words_of_log(const fs::path& log) {
  const std::string text = base::find_file(log).value_or("");
  std::string last;
  for (std::size_t at = 0; (at = text.find("Error (", at)) != std::string::npos;) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string line = text.substr(at, end - at);
    const bool says_nothing =
        std::any_of(std::begin(kEmptyWords), std::end(kEmptyWords),
                    [&](const char* words) { return line.find(words) != std::string::npos; });
    if (!says_nothing || last.empty()) last = line;
    at = end;
  }
  return (last.empty() ? std::string("no reason given") : last) + "; see " + log.string();
}

void add_text(unsigned field, const std::string& value, CriuMessage& message) {
  if (!value.empty()) message.add(field, value);
}

void add_pairs(unsigned field, const std::vector<std::pair<std::string, std::string>>& pairs,
               CriuMessage& message) {
  for (const auto& [first, second] : pairs) {
    CriuMessage pair;
    pair.add(kFirst, first);
    pair.add(kSecond, second);
    message.add(field, pair);
  }
}

void add_user_options(const CriuOptions& options, CriuMessage& message) {
  const auto flag = [&](unsigned field, bool wanted) {
    if (wanted) message.add(field, 1);
  };
  const auto text = [&](unsigned field, const std::string& value) {
    add_text(field, value, message);
  };
  flag(kExtUnixSk, options.ext_unix_sk);
  flag(kTcpEstablished, options.tcp_established);
  flag(kTcpSkipInFlight, options.tcp_skip_in_flight);
  flag(kLinkRemap, options.link_remap);
  flag(kShellJob, options.shell_job);
  flag(kFileLocks, options.file_locks);
  flag(kAutoDedup, options.auto_dedup);
  flag(kLazyPages, options.lazy_pages);
  text(kParentImages, options.parent_images);
  text(kLsmProfile, options.lsm_profile);
  text(kLsmMountContext, options.lsm_mount_context);
  message.add(kEmptyNamespaces, std::uint64_t{CLONE_NEWNET});
  message.add(kManageCgroupsMode, static_cast<std::uint64_t>(options.cgroups));
  if (options.status_fd >= 0) {
    message.add(kStatusFd, static_cast<std::uint64_t>(options.status_fd));
  }
  if (!options.page_server.empty()) {
    CriuMessage server;
    server.add(kFirst, options.page_server);
    server.add(kSecond, std::uint64_t{options.page_port});
    message.add(kPageServer, server);
  }
}

void add_inherited(const std::string& key, int fd, CriuMessage& message) {
  CriuMessage pair;
  pair.add(kFirst, key);
  pair.add(kSecond, static_cast<std::uint64_t>(fd));
  message.add(kInheritFd, pair);
}

// criu opens the directories, and the status descriptor, as ours: by our /proc/<pid>/fd.
CriuMessage plan_request(const CriuOptions& options, const CriuRequest& request, int images_fd,
                         int work_fd, const std::string& log) {
  CriuMessage message;
  message.add(kImagesDirFd, static_cast<std::uint64_t>(images_fd));
  message.add(kWorkDirFd, static_cast<std::uint64_t>(work_fd));
  message.add(kLogLevel, kAllWords);
  message.add(kLogFile, log);
  add_user_options(options, message);
  if (request.pid) message.add(kPid, static_cast<std::uint64_t>(*request.pid));
  add_text(kRoot, request.root, message);
  add_text(kFreezeCgroup, request.freeze_cgroup, message);
  add_text(kConfigFile, request.config_file, message);
  add_pairs(kJoinNamespace, request.joined, message);
  add_pairs(kCgroupRoot, request.cgroup_roots, message);
  if (request.leave_running) message.add(kLeaveRunning, 1);
  if (request.track_memory) message.add(kTrackMemory, 1);
  for (const std::string& each : request.external) message.add(kExternal, each);
  int fd = kFirstFree;
  for (const auto& [key, ours] : request.inherited) add_inherited(key, fd++, message);
  // A terminal's other end is with whoever asked for the container, not with its processes.
  message.add(kOrphanPtsMaster, 1);
  if (request.action == CriuAction::kRestore) message.add(kRestoreSibling, 1);
  if (request.on_notice) message.add(kNotifyScripts, 1);
  // How packets are held off meanwhile; criu's own choice is iptables.
  if (find_program("iptables-restore").empty()) message.add(kNetworkLock, kByNftables);
  CriuMessage whole;
  whole.add(kRequestType, static_cast<std::uint64_t>(request.action));
  whole.add(kOptions, message);
  return whole;
}

void tell(int socket_fd, const CriuMessage& message) {
  const std::string_view bytes = message.bytes();
  base::check(send(socket_fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), "tell criu");
}

void confirm(int socket_fd) {
  CriuMessage message;
  message.add(kRequestType, static_cast<std::uint64_t>(CriuAction::kNotify));
  message.add(kNotifySuccess, 1);
  tell(socket_fd, message);
}

// Until it has answered; without an answer it has ended.
CriuAnswer converse(int socket_fd, const CriuRequest& request) {
  std::string buffer(kLargestAnswer, '\0');
  for (;;) {
    CriuNotice notice;
    const ssize_t size = base::receive_with_descriptor(socket_fd, buffer, notice.fd);
    if (size <= 0) return {};
    CriuAnswer answer =
        parse_criu_answer(std::string_view(buffer).substr(0, static_cast<std::size_t>(size)));
    if (answer.action != static_cast<std::uint64_t>(CriuAction::kNotify)) return answer;
    base::trace("runtime", "criu: " + answer.moment);
    notice.moment = answer.moment;
    notice.pid = answer.pid;
    if (request.on_notice) request.on_notice(notice);
    confirm(socket_fd);
  }
}

// The program, serving one request at the other end of a socket: see criu(8), "swrk".
class Service {
 public:
  explicit Service(const std::string& program, const CriuRequest& request = {}) {
    int ends[2] = {-1, -1};
    base::check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
    socket_.reset(ends[0]);
    const UniqueFd theirs(ends[1]);
    std::vector<base::DescriptorMap> descriptors = {
        {-1, 0}, {-1, 1}, {-1, 2}, {theirs.get(), kFirstFree - 1}};
    int fd = kFirstFree;
    for (const auto& [key, ours] : request.inherited) descriptors.push_back({ours, fd++});
    pid_ = base::spawn({.program = program,
                        .arguments = {program, "swrk", std::to_string(kFirstFree - 1)},
                        .environment = {},
                        .descriptors = descriptors});
  }
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  ~Service() { finish(); }

  int socket() const { return socket_.get(); }
  // A closed socket makes it give up what it is doing.
  void finish() {
    socket_.reset();
    if (pid_ > 0) base::wait_for_child(std::exchange(pid_, -1));
  }

 private:
  UniqueFd socket_;
  pid_t pid_ = -1;
};

}  // namespace

pid_t run_criu(const CriuOptions& options, const CriuRequest& request) {
  const std::string program = find_program(options.program);
  if (program.empty()) {
    throw Error(ErrorKind::kUnsupported, "checkpoint and restore need criu, and there is no " +
                                             options.program + " here: install it");
  }
  const std::string action = name_of(request.action);
  const fs::path& work = options.work.empty() ? options.images : options.work;
  base::make_dirs(options.images, 0700);
  base::make_dirs(work, 0700);
  const UniqueFd images_fd = base::open_file(options.images, O_RDONLY | O_DIRECTORY);
  const UniqueFd work_fd = base::open_file(work, O_RDONLY | O_DIRECTORY);
  Service service(program, request);
  tell(service.socket(),
       plan_request(options, request, images_fd.get(), work_fd.get(), action + ".log"));
  const CriuAnswer answer = converse(service.socket(), request);
  service.finish();
  if (!answer.success) {
    throw Error(ErrorKind::kSystem,
                "criu " + action + " failed: " + words_of_log(work / (action + ".log")));
  }
  return answer.restored;
}

bool check_criu(const std::string& name) {
  const std::string program = find_program(name);
  if (program.empty()) return false;
  CriuMessage request;
  request.add(kRequestType, static_cast<std::uint64_t>(CriuAction::kFeatureCheck));
  request.add(kFeatures, CriuMessage());
  try {
    const Service service(program);
    tell(service.socket(), request);
    return converse(service.socket(), {}).success;
  } catch (const Error& error) {  // no program, or one that speaks otherwise
    base::trace("runtime", error.what());
    return false;
  }
}

}  // namespace runtime
