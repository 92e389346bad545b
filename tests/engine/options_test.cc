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
                     .create_source = true},
                    {}};
  options.ports = {{.host_address = "127.0.0.1",
                    .host_port = 8080,
                    .container_port = 80,
                    .protocol = network::Protocol::kUdp}};
  options.network = NetworkMode::kHost;
  options.dns = {"1.1.1.1"};
  options.dns_search = {"."};
  options.dns_options = {"ndots:1"};
  options.extra_hosts = {"a:1.2.3.4"};
  options.memory = 1;
  options.memory_swap = -1;
  options.memory_reservation = 2;
  options.shm_size = 3;
  options.nano_cpus = 4;
  options.pids_limit = -1;
  options.cpu_shares = 5;
  options.cpuset_cpus = "0-1";
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
