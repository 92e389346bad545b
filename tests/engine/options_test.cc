#include "engine/options.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace engine {
namespace {

ContainerOptions everything() {
  ContainerOptions options;
  options.image = "alpine:3.19";
  options.command = {"sh", "-c", "echo \"a b\"\n\x01"};
  options.entrypoint.emplace();
  options.name = "web";
  options.env = {"A=b", "EMPTY=", "GONE"};
  options.working_dir = "/w";
  options.user = "1000:100";
  options.hostname = "h";
  options.domainname = "d";
  options.interactive = options.tty = options.auto_remove = options.read_only = true;
  options.privileged = options.init = options.publish_all = true;
  options.tty_height = 24;
  options.tty_width = 80;
  options.mounts = {{.kind = MountOption::Kind::kTmpfs,
                     .source = "s",
                     .target = "/t",
                     .readonly = true,
                     .no_copy = true,
                     .recursive = false,
                     .propagation = "rslave",
                     .tmpfs_options = "size=1m",
                     .create_source = true,
                     .mode = "ro",
                     .subpath = "a",
                     .shallow_readonly = true,
                     .id_mapped = true,
                     .uid_map = {{1, 2, 3}},
                     .gid_map = {{4, 5, 6}},
                     .volume_labels = {{"l", "1"}},
                     .volume_options = {{"type", "tmpfs"}}},
                    {}};
  options.cgroup_parent = "/parent";
  options.pid_mode = options.ipc_mode = options.uts_mode = options.cgroup_mode = "host";
  options.user_mode = "auto";
  options.uid_mappings = {{0, 1, 2}};
  options.gid_mappings = {{3, 4, 5}};
  options.device_rules = {"c 1:* r"};
  options.volumes_from = {"x:ro"};
  options.annotations = {{"a", "b"}};
  options.ports = {{.host_address = "127.0.0.1",
                    .host_port = 8080,
                    .container_port = 80,
                    .protocol = network::Protocol::kUdp}};
  options.network = NetworkMode::kHost;
  options.dns = {"1.1.1.1"};
  options.dns_search = {"."};
  options.dns_options = {"ndots:1"};
  options.extra_hosts = {"a:1.2.3.4"};
  options.limits.memory = 1;
  options.limits.memory_swap = -1;
  options.limits.memory_reservation = 2;
  options.shm_size = 3;
  options.limits.nano_cpus = 4;
  options.limits.pids_limit = -1;
  options.limits.cpu_shares = 5;
  options.limits.cpuset_cpus = "0-1";
  options.limits.cpuset_mems = "0";
  options.limits.kernel_memory = 6;
  options.limits.memory_swappiness = 0;
  options.limits.oom_kill_disable = true;
  options.limits.cpu_period = 7;
  options.limits.cpu_quota = 8;
  options.limits.cpu_realtime_period = 9;
  options.limits.cpu_realtime_runtime = 10;
  options.limits.blkio_weight = 11;
  options.limits.blkio_weight_devices = {{.path = "/dev/a", .weight = 12}};
  options.limits.read_bps = {{.path = "/dev/a", .rate = 13}};
  options.limits.write_bps = {{.path = "/dev/b", .rate = 14}};
  options.limits.read_iops = {{.path = "/dev/c", .rate = 15}};
  options.limits.write_iops = {{.path = "/dev/d", .rate = 16}};
  options.cap_add = {"NET_ADMIN"};
  options.cap_drop = {"ALL"};
  options.security_opt = {"no-new-privileges"};
  options.devices = {"/dev/null"};
  options.group_add = {"audio"};
  options.ulimits = {{.type = "RLIMIT_NOFILE", .soft = 1, .hard = ~0ULL}};
  options.labels = {{"k", "v"}};
  options.sysctls = {{"net.x", "1"}};
  options.stop_signal = "SIGINT";
  options.stop_timeout = 0;
  options.oom_score_adj = 0;
  options.log_options = {{"max-size", "1m"}};
  options.log_driver = "none";
  options.platform = "linux/arm64";
  options.pull = PullPolicy::kNever;
  return options;
}

TEST(Options, SurviveTheRoundTrip) {
  EXPECT_EQ(parse_options(render_options(everything())), everything());
  EXPECT_EQ(parse_options(render_options({})), ContainerOptions{});
}

TEST(Options, EveryFieldOfTheExampleDiffersFromItsDefault) {
  // A field that visit() forgot would come back as its default and fail above, but only if the
  // example sets it: this many keys are all there are.
  const std::string text = render_options(everything());
  for (const char* key : {"image",      "command",     "entrypoint",  "name",
                          "env",        "workingDir",  "user",        "hostname",
                          "domainname", "interactive", "tty",         "autoRemove",
                          "readOnly",   "privileged",  "init",        "ttyHeight",
                          "ttyWidth",   "mounts",      "ports",       "publishAll",
                          "network",    "dns",         "dnsSearch",   "dnsOptions",
                          "extraHosts", "memory",      "memorySwap",  "memoryReservation",
                          "shmSize",    "nanoCpus",    "pidsLimit",   "cpuShares",
                          "cpusetCpus", "capAdd",      "capDrop",     "securityOpt",
                          "devices",    "groupAdd",    "ulimits",     "labels",
                          "sysctls",    "stopSignal",  "stopTimeout", "oomScoreAdj",
                          "logOptions", "logDriver",   "platform",    "pull"}) {
    EXPECT_NE(text.find('"' + std::string(key) + '"'), std::string::npos) << key;
  }
}

TEST(Options, DefaultsTakeNoRoom) { EXPECT_EQ(render_options({}), "{}"); }

TEST(Options, AnEmptyEntrypointIsNotAnAbsentOne) {
  EXPECT_TRUE(parse_options(render_options(everything())).entrypoint.has_value());
  EXPECT_FALSE(parse_options("{}").entrypoint.has_value());
}

TEST(Options, FieldsOfANewerVersionAreSkippedAndBrokenOnesRefused) {
  EXPECT_EQ(parse_options(R"({"future":1,"image":"x"})").image, "x");
  for (const char* bad : {"", "[", R"({"image":1})", R"({"ports":[{"hostPort":"x"}]})"}) {
    EXPECT_THROW(parse_options(bad), base::Error) << bad;
  }
}

TEST(Options, LabelsAreOneObject) {
  EXPECT_EQ(render_labels({}), "{}");
  EXPECT_EQ(render_labels({{"a", "b\""}}), R"({"a":"b\""})");
}

}  // namespace
}  // namespace engine
