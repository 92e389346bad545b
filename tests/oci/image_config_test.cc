#include "oci/image_config.h"

#include <string>

#include <gtest/gtest.h>

#include "tests/oci/refusal.h"

namespace {

using oci::ImageConfig;

const std::string kRootfs =
    R"("rootfs":{"type":"layers","diff_ids":["sha256:)" + std::string(64, '1') + R"("]})";

std::string image(const std::string& config) {
  return R"({"architecture":"amd64","os":"linux","config":{)" + config + "}," + kRootfs + "}";
}

std::string why(const std::string& json) {
  const std::string said = refusal_of([&] { oci::parse_image_config(json); });
  EXPECT_TRUE(said.starts_with("image config: ")) << said;
  return said.substr(std::min<std::size_t>(said.size(), 14));
}

// As `docker build` writes it.
const char kDocker[] = R"({
  "architecture": "arm", "variant": "v7", "os": "linux", "docker_version": "28", "container": "x",
  "created": "2026-01-02T03:04:05.6Z", "author": "somebody", "container_config": {"Cmd": ["x"]},
  "config": {
    "Hostname": "", "AttachStdin": false, "User": "1000:wheel", "ArgsEscaped": true, "OnBuild": null,
    "ExposedPorts": {"8080": {}, "53/UDP": {}, "443/tcp": {}, "9000-9001/sctp": null},
    "Env": ["PATH=/bin", "EMPTY=", "TWO=a=b"], "Entrypoint": ["/entry"], "Cmd": ["a", "b"],
    "Volumes": {"/data": {}, "/cache": {}}, "WorkingDir": "/srv", "StopSignal": "SIGQUIT",
    "Labels": {"a": "b", "io.containerd.restart": "x", "none": null}, "Shell": ["/bin/bash", "-c"],
    "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30000000000, "Timeout": 1,
                    "StartPeriod": 2, "StartInterval": 3, "Retries": 4}},
  "rootfs": {"type": "layers", "diff_ids": [
    "sha256:1111111111111111111111111111111111111111111111111111111111111111"]},
  "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "COPY /", "comment": "buildkit"},
              {"created_by": "CMD x", "author": "y", "empty_layer": true}]})";

TEST(ImageConfig, ReadsDockersConfig) {
  const ImageConfig config = oci::parse_image_config(kDocker);
  EXPECT_EQ(config.platform.str(), "linux/arm/v7");
  EXPECT_EQ(config.created, "2026-01-02T03:04:05.6Z");
  EXPECT_EQ(config.author, "somebody");
  EXPECT_EQ(config.user, "1000:wheel");
  EXPECT_TRUE(config.args_escaped);
  EXPECT_EQ(config.exposed_ports,
            (std::vector<std::string>{"443/tcp", "53/udp", "8080/tcp", "9000-9001/sctp"}));
  EXPECT_EQ(config.env, (std::vector<std::string>{"PATH=/bin", "EMPTY=", "TWO=a=b"}));
  EXPECT_EQ(config.entrypoint, std::vector<std::string>{"/entry"});
  EXPECT_EQ(config.cmd, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.volumes, (std::vector<std::string>{"/cache", "/data"}));
  EXPECT_EQ(config.working_dir, "/srv");
  EXPECT_EQ(config.stop_signal, "SIGQUIT");
  EXPECT_EQ(config.labels.at("a"), "b");
  EXPECT_EQ(config.labels.at("none"), "");
  EXPECT_EQ(config.shell, (std::vector<std::string>{"/bin/bash", "-c"}));
  EXPECT_TRUE(config.on_build.empty());
  ASSERT_TRUE(config.health_check);
  EXPECT_EQ(config.health_check->test, (std::vector<std::string>{"CMD-SHELL", "true"}));
  EXPECT_EQ(config.health_check->interval, 30'000'000'000);
  EXPECT_EQ(config.health_check->start_interval, 3);
  EXPECT_EQ(config.health_check->retries, 4);
  EXPECT_EQ(config.diff_ids.size(), 1U);
  ASSERT_EQ(config.history.size(), 2U);
  EXPECT_FALSE(config.history[0].empty_layer);
  EXPECT_TRUE(config.history[1].empty_layer);
  EXPECT_EQ(config.history[1].author, "y");
}

TEST(ImageConfig, KeepsTheInstructionsForWhoBuildsOnIt) {
  const ImageConfig config =
      oci::parse_image_config("{" + kRootfs + R"(,"config":{"OnBuild":["RUN make","COPY . /x"]}})");
  EXPECT_EQ(config.on_build, (std::vector<std::string>{"RUN make", "COPY . /x"}));
  EXPECT_EQ(oci::parse_image_config(oci::render_image_config(config)), config);
}

TEST(ImageConfig, EveryOptionalFieldMayBeNullOrAbsent) {
  const ImageConfig least = oci::parse_image_config("{" + kRootfs + "}");
  EXPECT_EQ(least.platform.os, "linux");
  EXPECT_EQ(least.platform.architecture, "");
  const ImageConfig nulls = oci::parse_image_config(
      R"({"architecture":null,"os":null,"variant":null,"created":null,"author":null,"history":null,)" +
      kRootfs + R"(,"config":{"User":null,"ExposedPorts":null,"Env":null,"Entrypoint":null,
      "Cmd":null,"Volumes":null,"WorkingDir":null,"Labels":null,"StopSignal":null,
      "ArgsEscaped":null,"Healthcheck":null,"Shell":null}})");
  EXPECT_EQ(nulls, least);
  EXPECT_EQ(oci::parse_image_config("{\"config\":null," + kRootfs + "}"), least);
  EXPECT_TRUE(
      oci::parse_image_config(R"({"rootfs":{"type":"layers","diff_ids":null}})").diff_ids.empty());
  EXPECT_TRUE(oci::parse_image_config(R"({"rootfs":{"type":"layers"}})").diff_ids.empty());
}

TEST(ImageConfig, ABareStringIsACommandOfOneWord) {
  EXPECT_EQ(oci::parse_image_config(image(R"("Cmd":"a b")")).cmd, std::vector<std::string>{"a b"});
}

TEST(ImageConfig, EnvironmentMustBeNamesWithValues) {
  for (const char* entry : {"HOME", "AWS_*", "=x", "", "*"}) {
    SCOPED_TRACE(entry);
    EXPECT_EQ(why(image(R"("Env":["A=b",")" + std::string(entry) + "\"]")),
              "config.Env: \"" + std::string(entry) + "\" is not NAME=VALUE");
  }
}

TEST(ImageConfig, RootfsMustBeLayers) {
  EXPECT_EQ(why("{}"), "rootfs.type: missing");
  EXPECT_EQ(why(R"({"rootfs":{"type":null}})"), "rootfs.type: missing");
  EXPECT_EQ(why(R"({"rootfs":{"type":"chunks"}})"),
            "rootfs.type: must be \"layers\", not \"chunks\"");
  EXPECT_EQ(why(R"({"rootfs":{"type":"layers","diff_ids":["sha256:x"]}})"),
            "rootfs.diff_ids[0]: malformed digest");
  EXPECT_EQ(why(R"({"rootfs":{"type":"layers","diff_ids":[null]}})"),
            "rootfs.diff_ids[0]: missing");
  std::string many = R"({"rootfs":{"type":"layers","diff_ids":["")";
  for (int i = 0; i < 500; ++i) many += ",\"\"";
  EXPECT_EQ(why(many + "]}}"), "rootfs.diff_ids: more than 500 layers");
}

TEST(ImageConfig, ChecksTypesAndPorts) {
  EXPECT_EQ(why(image(R"("User":7)")), "config.User: must be a string, not number");
  EXPECT_EQ(why(image(R"("Env":"A=b")")), "config.Env: must be an array of strings, not string");
  EXPECT_EQ(why(image(R"("Cmd":[1])")), "config.Cmd[0]: must be a string, not number");
  EXPECT_EQ(why(image(R"("Labels":{"a":1})")), "config.Labels.a: must be a string, not number");
  EXPECT_EQ(why(image(R"("ExposedPorts":["80/tcp"])")),
            "config.ExposedPorts: must be an object, not array");
  EXPECT_EQ(why(image(R"("Volumes":{"/x":[]})")), "config.Volumes./x: must be an empty object");
  why(image(R"("Volumes":{"/x":{"y":1}})"));
  for (const char* port : {"", "/tcp", "x/tcp", "70000", "80/", "80/icmp", "80-/tcp", "-80/tcp",
                           "80/tcp/udp", "80-70000/tcp", "+80", " 80", "80-90-100"}) {
    SCOPED_TRACE(port);
    EXPECT_NE(why(image(R"("ExposedPorts":{")" + std::string(port) + R"(":{}})"))
                  .find("is not PORT[/PROTOCOL]"),
              std::string::npos);
  }
  why(image(R"("Healthcheck":{"Interval":"30s"})"));
  why(image(R"("Healthcheck":{"Retries":99999999999})"));
  why(image(R"("Env":["A=x\u0000y"])"));
  why(R"({"os":"linux","os":"linux",)" + kRootfs + "}");
  why("null");
  why("[]");
}

TEST(ImageConfig, RendersWhatItReads) {
  const ImageConfig config = oci::parse_image_config(kDocker);
  EXPECT_EQ(oci::parse_image_config(oci::render_image_config(config)), config);
  EXPECT_EQ(oci::parse_image_config(oci::render_image_config({})), ImageConfig());
}

TEST(ImageConfig, RendersTheSpecificationsNames) {
  EXPECT_EQ(
      oci::render_image_config(oci::parse_image_config(kDocker)),
      R"({"created":"2026-01-02T03:04:05.6Z","author":"somebody","architecture":"arm",)"
      R"("variant":"v7","os":"linux","config":{"User":"1000:wheel","ExposedPorts":)"
      R"({"443/tcp":{},"53/udp":{},"8080/tcp":{},"9000-9001/sctp":{}},)"
      R"("Env":["PATH=/bin","EMPTY=","TWO=a=b"],"Entrypoint":["/entry"],"Cmd":["a","b"],)"
      R"("Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":30000000000,"Timeout":1,)"
      R"("StartPeriod":2,"StartInterval":3,"Retries":4},"ArgsEscaped":true,)"
      R"("Volumes":{"/cache":{},"/data":{}},"WorkingDir":"/srv",)"
      R"("Labels":{"a":"b","io.containerd.restart":"x","none":""},"StopSignal":"SIGQUIT",)"
      R"("Shell":["/bin/bash","-c"]},"rootfs":{"type":"layers","diff_ids":["sha256:)" +
          std::string(64, '1') +
          R"("]},"history":[{"created":"2026-01-02T03:04:05Z","created_by":"COPY /",)"
          R"("comment":"buildkit"},{"created_by":"CMD x","author":"y","empty_layer":true}]})");
}

}  // namespace
