#include "cli/container_flags.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"

namespace {

using engine::MountOption;
using Words = std::vector<std::string>;

engine::ContainerOptions options_of(const Words& flags) {
  cli::ContainerFlags container;
  const auto table = container.flags();
  Words words = flags;
  words.emplace_back("busybox");
  const cli::Syntax syntax = {.command = "run",
                              .synopsis = "",
                              .summary = "",
                              .min_arguments = 1,
                              .max_arguments = cli::kAnyNumber,
                              .flags = cli::Syntax::Flags::kBeforeArguments};
  return container.to_options(cli::parse_arguments(syntax, table, words));
}

TEST(ContainerFlags, Volumes) {
  EXPECT_EQ(cli::parse_volume("/a:/b"), (MountOption{.kind = MountOption::Kind::kBind,
                                                     .source = "/a",
                                                     .target = "/b",
                                                     .create_source = true}));
  EXPECT_EQ(cli::parse_volume("data:/b:ro,nocopy"), (MountOption{.kind = MountOption::Kind::kVolume,
                                                                 .source = "data",
                                                                 .target = "/b",
                                                                 .readonly = true,
                                                                 .no_copy = true,
                                                                 .create_source = true,
                                                                 .mode = "ro,nocopy"}));
  EXPECT_EQ(cli::parse_volume("/b"),
            (MountOption{.kind = MountOption::Kind::kVolume, .target = "/b"}));
  EXPECT_EQ(cli::parse_volume("./x:/b").source, (std::filesystem::current_path() / "x").string());
  EXPECT_EQ(cli::parse_volume("/a:/b:rslave").propagation, "rslave");
  for (const char* bad : {"", "a", "/a:b", "/a:/b:bogus", "/a:/b:ro:x", "/a:/", ":/b", "x:/b",
                          "a b:/c", "/a:/b:ro,rw", "/a:/b:z,Z", "/a:/b:nocopy", "vol:/b:rslave",
                          "/a:/b:", "/a:/b:idmap=uids=1-2", "/a:/b:idmap=uids=4294967295-0-1",
                          "/a:/b:idmap=x=0-0-1"}) {
    SCOPED_TRACE(bad);
    EXPECT_THROW(cli::parse_volume(bad), base::Error);
  }
}

TEST(ContainerFlags, AnEntrypointMayBeAListAsPodmansIs) {
  EXPECT_EQ(cli::parse_entrypoint(""), std::vector<std::string>());
  EXPECT_EQ(cli::parse_entrypoint("/bin/sh"), std::vector<std::string>{"/bin/sh"});
  EXPECT_EQ(cli::parse_entrypoint(R"(["sh", "-c"])"), (std::vector<std::string>{"sh", "-c"}));
  for (const char* program : {"[", "[x", R"(["a", 1])", "[]"}) {
    EXPECT_EQ(cli::parse_entrypoint(program), std::vector<std::string>{program});
  }
}

TEST(ContainerFlags, SeveralNetworksInOneFlagAsPodmanHasThem) {
  const auto options = options_of({"--net", "a,b", "--network-alias", "db"});
  ASSERT_EQ(options.networks.size(), 2U);
  for (const auto& network : options.networks) {
    EXPECT_EQ(network.aliases, std::vector<std::string>{"db"});
  }
  EXPECT_EQ(options.networks[1].name, "b");
}

TEST(ContainerFlags, Mounts) {
  EXPECT_EQ(
      cli::parse_mount("type=bind,source=/a,target=/b,readonly"),
      (MountOption{
          .kind = MountOption::Kind::kBind, .source = "/a", .target = "/b", .readonly = true}));
  EXPECT_EQ(cli::parse_mount("source=vol,dst=/b"),
            (MountOption{.kind = MountOption::Kind::kVolume, .source = "vol", .target = "/b"}));
  EXPECT_EQ(cli::parse_mount("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770").tmpfs_options,
            "size=1048576,mode=1770");
  for (const char* bad :
       {"type=bind,target=/b", "type=bogus,target=/b", "target=b", "type=bind,source=a,target=/b",
        "type=tmpfs,source=/x,target=/b", "type=volume", "type=bind,source=/a,target=/b,bogus=1",
        "noequals,target=/b", "type=bind,source=/a,target=/b,readonly=maybe"}) {
    SCOPED_TRACE(bad);
    EXPECT_THROW(cli::parse_mount(bad), base::Error);
  }
}

TEST(ContainerFlags, IdsOfAMountMayBeMapped) {
  const MountOption plain = cli::parse_volume("/a:/b:ro,idmap");
  EXPECT_TRUE(plain.id_mapped && plain.readonly && plain.uid_map.empty());
  const MountOption mapped = cli::parse_volume("/a:/b:idmap=uids=0-1000-1#1-1-999;gids=5-6-7");
  EXPECT_EQ(mapped.uid_map, (std::vector<oci::IdMapping>{{0, 1000, 1}, {1, 1, 999}}));
  EXPECT_EQ(mapped.gid_map, (std::vector<oci::IdMapping>{{5, 6, 7}}));
  EXPECT_EQ(cli::parse_id_mapping("0:100000:65536"), (oci::IdMapping{0, 100000, 65536}));
  for (const char* bad : {"", "0:1", "0:1:0", "a:1:1", "0:4294967295:1", "0:1:2:3", "-1:0:1"}) {
    EXPECT_THROW(cli::parse_id_mapping(bad), base::Error) << bad;
  }
}

TEST(ContainerFlags, MountsHaveEveryOptionOfDockers) {
  const MountOption volume = cli::parse_mount(
      "type=volume,src=vol,dst=/b,volume-subpath=a/b,volume-label=k=v,volume-opt=type=nfs,"
      "\"volume-opt=o=addr=192.0.2.1,rw\",volume-driver=local,consistency=cached");
  EXPECT_EQ(volume.subpath, "a/b");
  EXPECT_EQ(volume.volume_labels.at("k"), "v");
  EXPECT_EQ(volume.volume_options.at("type"), "nfs");
  EXPECT_EQ(volume.volume_options.at("o"), "addr=192.0.2.1,rw");
  const MountOption bind =
      cli::parse_mount("type=bind,src=/a,dst=/b,bind-propagation=rslave,bind-nonrecursive,ro");
  EXPECT_EQ(bind.propagation, "rslave");
  EXPECT_FALSE(bind.recursive);
  EXPECT_TRUE(bind.readonly);
  EXPECT_TRUE(
      cli::parse_mount("type=bind,src=/a,dst=/b,ro,bind-recursive=writable").shallow_readonly);
  for (const char* bad :
       {"type=bind,src=/a,dst=/b,volume-nocopy", "type=volume,dst=/b,tmpfs-size=1m",
        "type=tmpfs,dst=/b,bind-propagation=slave", "type=tmpfs,dst=/b,idmap",
        "type=tmpfs,dst=/b,tmpfs-mode=9", "type=bind,src=/a,dst=/b,bind-recursive=readonly",
        "type=bind,src=/a,dst=/b,bind-recursive=x", "type=volume,dst=/b,volume-driver=x",
        "type=volume,dst=/b,\"volume-opt=o=a"}) {
    SCOPED_TRACE(bad);
    EXPECT_THROW(cli::parse_mount(bad), base::Error);
  }
}

TEST(ContainerFlags, WhatThereIsOneOfIsChecked) {
  EXPECT_NO_THROW(options_of({"--runtime", "sampan", "--isolation", "default"}));
  EXPECT_NO_THROW(options_of({"--volume-driver", "local", "--disable-content-trust"}));
  for (const auto& bad : std::vector<Words>{
           {"--gpus", "all"}, {"--runtime", "x"}, {"--isolation", "x"}, {"--volume-driver", "x"}}) {
    EXPECT_THROW(options_of(bad), base::Error) << bad[0];
  }
  EXPECT_EQ(options_of({"--uidmap", "0:1:1"}).user_mode, "private");
  EXPECT_EQ(options_of({}).user_mode, "");
}

TEST(ContainerFlags, Ports) {
  const auto one = cli::parse_ports("127.0.0.1:8080:80/udp");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0], (engine::PortOption{.host_address = "127.0.0.1",
                                        .host_port = 8080,
                                        .container_port = 80,
                                        .protocol = network::Protocol::kUdp}));
  EXPECT_EQ(cli::parse_ports("[::1]:8080:80")[0].host_address, "::1");
  EXPECT_THROW(cli::parse_ports("::1:8080:80"), base::Error);
  const auto any_of = cli::parse_ports("8000-8009:80");
  ASSERT_EQ(any_of.size(), 1U);
  EXPECT_EQ(any_of[0].host_port, 8000);
  EXPECT_EQ(any_of[0].host_port_last, 8009);
  const auto range = cli::parse_ports("8000-8002:80-82");
  ASSERT_EQ(range.size(), 3U);
  EXPECT_EQ(range[2].host_port, 8002);
  EXPECT_EQ(range[2].container_port, 82);
  EXPECT_EQ(cli::parse_ports("80").at(0).host_port, 0);
  EXPECT_EQ(cli::parse_ports("127.0.0.1::80").at(0).host_port, 0);
  for (const char* bad : {"", "x", "80:", "1:2:3:4", "99999:80", "80:0", "80/bogus",
                          "8002-8000:80-82", "-1:80", "80:80:80", "1.2.3:80:80"}) {
    SCOPED_TRACE(bad);
    EXPECT_THROW(cli::parse_ports(bad), base::Error);
  }
}

TEST(ContainerFlags, Ulimits) {
  EXPECT_EQ(cli::parse_ulimit("nofile=1024:2048"),
            (oci::Rlimit{.type = "RLIMIT_NOFILE", .soft = 1024, .hard = 2048}));
  EXPECT_EQ(cli::parse_ulimit("core=0").hard, 0U);
  EXPECT_EQ(cli::parse_ulimit("nproc=-1").soft, ~std::uint64_t{0});
  for (const char* bad :
       {"nofile", "bogus=1", "nofile=x", "nofile=2:1", "nofile=1:2:3", "nofile="}) {
    SCOPED_TRACE(bad);
    EXPECT_THROW(cli::parse_ulimit(bad), base::Error);
  }
}

TEST(ContainerFlags, Resources) {
  const auto options =
      options_of({"-m", "5m", "--cpus", "0.1", "--pids-limit", "10", "--shm-size", "1g"});
  EXPECT_EQ(options.limits.memory, 5 << 20);
  EXPECT_EQ(options.limits.nano_cpus, 100'000'000);
  EXPECT_EQ(options.limits.pids_limit, 10);
  EXPECT_EQ(options.shm_size, 1 << 30);
  EXPECT_THROW(options_of({"-m", "lots"}), base::Error);
  EXPECT_THROW(options_of({"--cpus", "two"}), base::Error);
  EXPECT_THROW(options_of({"--cpus", "-1"}), base::Error);
  EXPECT_THROW(options_of({"--pull", "sometimes"}), base::Error);
}

TEST(ContainerFlags, Environment) {
  setenv("SAMPAN_TEST_VARIABLE", "from outside", 1);
  unsetenv("SAMPAN_TEST_UNSET");
  const auto options = options_of(
      {"-e", "A=1", "-e", "SAMPAN_TEST_VARIABLE", "-e", "SAMPAN_TEST_UNSET", "-e", "EMPTY="});
  EXPECT_EQ(options.env, (Words{"A=1", "SAMPAN_TEST_VARIABLE=from outside", "EMPTY="}));
  EXPECT_THROW(options_of({"-e", "=x"}), base::Error);
}

TEST(ContainerFlags, EnvironmentFiles) {
  const auto path = std::filesystem::temp_directory_path() / ("sampan-env-" + base::random_hex(6));
  base::write_file(path, "\xEF\xBB\xBF# comment\nA=1\r\n\n  B=two words \n");
  EXPECT_EQ(cli::read_env_file(path), (Words{"A=1", "B=two words "}));
  base::write_file(path, "a b=1\n");
  EXPECT_THROW(cli::read_env_file(path), base::Error);
  std::filesystem::remove(path);
  EXPECT_THROW(cli::read_env_file(path), base::Error);
}

TEST(ContainerFlags, AnEmptyEntrypointClearsTheImages) {
  EXPECT_EQ(options_of({"--entrypoint", ""}).entrypoint, std::vector<std::string>());
  EXPECT_EQ(options_of({"--entrypoint", "/bin/sh"}).entrypoint, Words{"/bin/sh"});
  EXPECT_EQ(options_of({}).entrypoint, std::nullopt);
}

}  // namespace
