#include <csignal>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "engine/bridge_network.h"
#include "tests/engine/engine_fixture.h"

namespace engine_test {
namespace {

constexpr char kImage[] = "localhost/busybox:latest";

void bring_loopback_up() {
  const base::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = {};
  std::strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  base::check(ioctl(socket.get(), SIOCSIFFLAGS, &request), "lo up");
}

void write_entry(const fs::path& root, const std::string& name, const std::string& content) {
  const fs::path path = root / name;
  base::make_dirs(path.parent_path());
  if (content.starts_with("->")) {
    fs::create_symlink(content.substr(2), path);
  } else if (content == "|") {
    base::check(mkfifo(path.c_str(), 0644), "mkfifo");
  } else {
    base::write_file(path, content, name.starts_with("bin/") ? 0755 : 0644);
  }
}

// Standard streams of the process as files while it lives.
class Redirect {
 public:
  explicit Redirect(const fs::path& dir, std::string_view input) : dir_(dir) {
    base::write_file(dir / "in", input);
    for (int fd = 0; fd < 3; ++fd) saved_[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
    const char* const names[] = {"in", "out", "err"};
    for (int fd = 0; fd < 3; ++fd) {
      const int file =
          open((dir / names[fd]).c_str(), O_RDWR | O_CREAT | (fd > 0 ? O_TRUNC : 0), 0600);
      dup2(file, fd);
      close(file);
    }
  }
  ~Redirect() {
    for (int fd = 0; fd < 3; ++fd) {
      dup2(saved_[fd], fd);
      close(saved_[fd]);
    }
  }

 private:
  fs::path dir_;
  int saved_[3] = {};
};

}  // namespace

bool eventually(const std::function<bool()>& condition, int milliseconds) {
  for (int waited = 0; waited < milliseconds; waited += 5) {
    if (condition()) return true;
    usleep(5000);
  }
  return condition();
}

void EngineTest::SetUpTestSuite() {
  static bool done = false;
  if (done) return;
  done = true;
  ASSERT_EQ(geteuid(), 0U) << "these tests need root";
  base::check(unshare(CLONE_NEWNET | CLONE_NEWNS), "unshare");
  base::check(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "mount");
  bring_loopback_up();
}

namespace {

bool remove_group(const std::string& path) {
  return rmdir(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR;
}

}  // namespace

EngineTest::EngineTest() : cgroup_("/sampan-dev-engine-" + base::random_hex(6)) {
  config_.root = root_ / "root";
  config_.state = state_ / "state";
  config_.cgroup_parent = cgroup_;
  config_.init_helper = fs::path(SAMPAN_BIN_DIR) / "sampan-init";
  engine_ = std::make_unique<engine::Engine>(config_);
  std::string busybox = base::read_file("/bin/busybox");
  Files files = {{"bin/busybox", busybox},
                 {"etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"},
                 {"etc/group", "root:x:0:\napp:x:1000:\naudio:x:29:app\n"},
                 {"tmp/.keep", ""},
                 {"root/.keep", ""}};
  for (const char* applet :
       {"sh",   "true", "false",    "echo",  "cat",  "sleep", "id",   "ls",   "env",   "head",
        "tail", "ps",   "hostname", "touch", "stty", "seq",   "kill", "ip",   "mkdir", "tty",
        "yes",  "wc",   "pwd",      "stat",  "grep", "date",  "test", "nproc"}) {
    files["bin/" + std::string(applet)] = "->busybox";
  }
  add_image(kImage, {files});
}

EngineTest::~EngineTest() {
  for (const engine::ContainerInfo& info : engine_->list_containers()) {
    engine_->remove(info.row.id, engine::Engine::RemoveForce::kYes,
                    engine::Engine::RemoveVolumes::kYes);
  }
  eventually([&] { return monitor_count() == 0; });
  if (auto bridge = engine::find_bridge(engine_->store())) network::remove_bridge(*bridge);
  // Whoever cleans up after a container may be a moment behind its monitor.
  EXPECT_TRUE(eventually([&] {
    bool gone = remove_group("/sys/fs/cgroup" + cgroup_);
    for (const fs::directory_entry& entry : fs::directory_iterator("/sys/fs/cgroup")) {
      gone = remove_group(entry.path().string() + cgroup_) && gone;
    }
    return gone;
  }));
}

void EngineTest::add_image(const std::string& name, const std::vector<Files>& layers,
                           const std::string& config) {
  storage::Store& store = engine_->store();
  storage::ImageRow image{.id = oci::ImageId::from_hex(base::random_hex(32)),
                          .manifest_digest = oci::Digest::from_hex(base::random_hex(32))};
  std::string diff_ids;
  for (const Files& files : layers) {
    const oci::DiffId id = oci::DiffId::from_hex(base::random_hex(32));
    const fs::path staged = store.make_staging("test");
    base::check(chmod(staged.c_str(), 0755), "chmod");
    for (const auto& [path, content] : files) write_entry(staged, path, content);
    store.publish_layer(id.hex(), id, staged, 1);
    image.layers.push_back(id);
    image.layer_keys.push_back(id.hex());
    diff_ids += (diff_ids.empty() ? "\"" : ",\"") + id.str() + "\"";
  }
  image.config = R"({"os":"linux","architecture":"amd64","config":{)" + config +
                 R"(},"rootfs":{"type":"layers","diff_ids":[)" + diff_ids + "]}}";
  store.add_image(image, oci::Reference::parse(name), image.manifest_digest);
}

engine::ContainerOptions EngineTest::options(std::vector<std::string> command) const {
  engine::ContainerOptions options;
  options.image = kImage;
  options.command = std::move(command);
  options.network = engine::NetworkMode::kNone;
  options.pull = engine::PullPolicy::kNever;
  return options;
}

RunResult EngineTest::run(const engine::ContainerOptions& options, std::string_view input) {
  const TempDir dir;
  RunResult result;
  {
    const Redirect redirect(dir.path(), input);
    const std::string id = engine_->create(options, {}, engine::Engine::Purpose::kStart);
    const auto code = engine_->start_attached(id, {.stdin_open = options.interactive});
    result.code = code.value_or(-1);
  }
  result.out = base::read_file(dir / "out");
  result.err = base::read_file(dir / "err");
  return result;
}

std::string EngineTest::run_detached(const engine::ContainerOptions& options) {
  const std::string id = engine_->create(options, {}, engine::Engine::Purpose::kStart);
  engine_->start(id);
  return id;
}

engine::Engine& EngineTest::next_command() {
  engine_ = std::make_unique<engine::Engine>(config_);
  return *engine_;
}

pid_t EngineTest::in_child(const std::function<int(engine::Engine&)>& work) {
  const pid_t child = fork();
  base::check(child, "fork");
  if (child != 0) return child;
  const int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; ++fd) dup2(null, fd);
  int code = 99;
  try {
    engine::Engine engine(config_);
    code = work(engine);
  } catch (const std::exception&) {
    code = 98;
  }
  _exit(code);
}

int EngineTest::monitor_count() const {
  int count = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc")) {
    const auto text = base::find_file(entry.path() / "cmdline", 65536);
    const bool ours = text && text->find("__monitor") != std::string::npos &&
                      text->find(config_.root.string()) != std::string::npos;
    if (ours) ++count;
  }
  return count;
}

void EngineTest::expect_nothing_left() {
  EXPECT_TRUE(eventually([&] { return monitor_count() == 0; })) << monitor_count() << " monitors";
  next_command();
  EXPECT_TRUE(engine_->list_containers().empty());
  EXPECT_TRUE(engine_->store().list_leases().empty());
  engine_->store().sweep(storage::Store::Sweep::kThorough);
  EXPECT_TRUE(fs::is_empty(config_.root / "containers"));
  for (const fs::directory_entry& entry : fs::directory_iterator(config_.state)) {
    const fs::path name = entry.path().filename();
    EXPECT_TRUE(name == "seccomp" || name == "revived") << name;
  }
  for (const fs::directory_entry& hierarchy : fs::directory_iterator("/sys/fs/cgroup")) {
    const fs::path group = hierarchy.path().string() + cgroup_;
    if (!fs::is_directory(group)) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(group)) {
      EXPECT_FALSE(entry.is_directory()) << entry.path();
    }
  }
  if (const auto bridge = engine::find_bridge(engine_->store())) {
    network::ensure_bridge(*bridge);
    EXPECT_TRUE(network::list_published(*bridge).empty());
  }
}

}  // namespace engine_test

// Instead of gtest's own: a monitor is this very program, started again.
int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "__monitor") == 0) return engine::run_monitor(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
