#include "oci/runtime_spec.h"

#include <algorithm>
#include <string>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "tests/oci/refusal.h"

namespace {

using nlohmann::json;

std::string sample(const std::string& name) {
  return base::read_file(std::string(SAMPAN_SOURCE_DIR) + "/tests/oci/data/" + name + ".json");
}

// Without the members that say nothing: an absent list and an empty one are the same value, and so
// are an absent device number and -1.
bool says_nothing(const std::string& key, const json& value) {
  return value.is_null() || value == "" || value == false || value == json::object() ||
         value == json::array() || ((key == "major" || key == "minor") && value == -1);
}

json pruned(const json& value) {
  if (!value.is_structured()) return value;
  json result = json(value.type());
  for (const auto& [key, member] : value.items()) {
    json kept = pruned(member);
    if (value.is_array()) {
      result.push_back(std::move(kept));
    } else if (!says_nothing(key, kept)) {
      result[key] = std::move(kept);
    }
  }
  return result;
}

TEST(RuntimeSpec, EveryMemberComesBackUnderItsName) {
  const oci::RuntimeSpec spec = oci::parse_runtime_spec(sample("full"));
  EXPECT_EQ(json::parse(oci::render_runtime_spec(spec)), json::parse(sample("full")));
  EXPECT_EQ(oci::parse_runtime_spec(oci::render_runtime_spec(spec)), spec);
}

// As written by `runc spec`, `crun spec`, dockerd 28, podman 4 and containerd 1.6.
TEST(RuntimeSpec, ReadsWhatOthersWrite) {
  for (const char* name :
       {"runc", "runc_rootless", "crun", "docker", "docker_limits", "docker_privileged",
        "podman_limits", "podman_privileged", "containerd"}) {
    SCOPED_TRACE(name);
    const oci::RuntimeSpec spec = oci::parse_runtime_spec(sample(name));
    EXPECT_EQ(json::diff(pruned(json::parse(sample(name))),
                         pruned(json::parse(oci::render_runtime_spec(spec)))),
              json::array());
  }
}

TEST(RuntimeSpec, ReadsMembersIntoTheirPlaces) {
  const oci::RuntimeSpec spec = oci::parse_runtime_spec(sample("full"));
  EXPECT_EQ(spec.mounts[1].destination, "data");
  EXPECT_EQ(spec.mounts[1].source, "/srv");
  EXPECT_EQ(spec.process->user.gid, 1001U);
  EXPECT_EQ(spec.process->capabilities->ambient, std::vector<std::string>{"CAP_NET_RAW"});
  EXPECT_EQ(spec.process->capabilities->effective, std::vector<std::string>{"CAP_KILL"});
  EXPECT_EQ(spec.process->rlimits[0].soft, 1024U);
  EXPECT_EQ(spec.process->rlimits[1].hard, ~0ULL);
  EXPECT_EQ(spec.process->console_size->width, 80);
  EXPECT_EQ(spec.hooks.poststart[1].path, "/hook/f");
  EXPECT_EQ(spec.linux_.namespaces[1].path, "/proc/1/ns/net");
  EXPECT_EQ(spec.linux_.namespaces[4].type, oci::NamespaceType::kMount);
  EXPECT_EQ(spec.linux_.uid_mappings[0].host_id, 100000U);
  EXPECT_EQ(spec.linux_.resources.memory.swap, -1);
  EXPECT_EQ(spec.linux_.resources.cpu.realtime_period, 1000000U);
  EXPECT_EQ(spec.linux_.resources.block_io.throttle_read_iops[0].rate, 3U);
  EXPECT_EQ(spec.linux_.resources.devices[0].type, 'a');
  EXPECT_FALSE(spec.linux_.resources.devices[2].minor);
  EXPECT_EQ(spec.mounts[2].uid_mappings[0].host_id, 7U);
  EXPECT_EQ(spec.mounts[2].gid_mappings[0].size, 2U);
  EXPECT_EQ(spec.process->scheduler->deadline, 2000000U);
  EXPECT_EQ(spec.process->io_priority->priority, 4);
  EXPECT_EQ(spec.process->exec_cpu_affinity->after, "1");
  EXPECT_EQ(spec.linux_.time_offsets.at("monotonic").seconds, -7);
  EXPECT_EQ(spec.linux_.net_devices.at("eth7"), "data0");
  EXPECT_EQ(spec.linux_.resources.rdma.at("mlx5_1").hca_objects, 10000U);
  EXPECT_EQ(spec.linux_.intel_rdt->mem_bw_schema, "MB:0=20");
  EXPECT_EQ(spec.linux_.memory_policy->nodes, "0-1");
  EXPECT_EQ(spec.linux_.personality->domain, "LINUX32");
  EXPECT_EQ(spec.linux_.seccomp->syscalls[1].args[0].value_two, ~0ULL);
}

json minimal() {
  return json::parse(
      R"({"ociVersion":"1.0.2","root":{"path":"rootfs"},"process":{"args":["x"],"cwd":"/"}})");
}

// What parsing says of the minimal spec with one change.
std::string why(const std::string& pointer, const std::string& value) {
  json spec = minimal();
  spec[json::json_pointer(pointer)] = json::parse(value);
  const std::string said = refusal_of([&] { oci::parse_runtime_spec(spec.dump()); });
  EXPECT_TRUE(said.starts_with("runtime spec: ")) << said;
  return said.substr(std::min<std::size_t>(said.size(), 14));
}

oci::RuntimeSpec accepted(const std::string& pointer, const std::string& value) {
  json spec = minimal();
  spec[json::json_pointer(pointer)] = json::parse(value);
  return oci::parse_runtime_spec(spec.dump());
}

TEST(RuntimeSpec, RefusesByNameWhatItCannotObey) {
  const char* const members[] = {"/solaris", "/windows", "/vm", "/zos", "/freebsd"};
  for (const std::string member : members) {
    SCOPED_TRACE(member);
    std::string path = member.substr(1);
    std::replace(path.begin(), path.end(), '/', '.');
    EXPECT_EQ(why(member, R"({"x":1})"), path + ": is not supported by this runtime");
    EXPECT_EQ(accepted(member, "null"), oci::parse_runtime_spec(minimal().dump()));
  }
}

TEST(RuntimeSpec, IgnoresWhatNobodySpecified) {
  for (const char* member : {"/x", "/process/x", "/root/x", "/linux/x", "/linux/resources/x",
                             "/process/user/username", "/linux/resources/memory/x"}) {
    EXPECT_EQ(accepted(member, R"({"deep":[1]})"), oci::parse_runtime_spec(minimal().dump()))
        << member;
  }
}

TEST(RuntimeSpec, ChecksTypesAndNamesThePlace) {
  const struct {
    const char *pointer, *value, *said;
  } table[] = {
      {"/ociVersion", "null", "ociVersion: missing"},
      {"/ociVersion", "\"2.0.0\"", "ociVersion: \"2.0.0\" is not a version 1 of the specification"},
      {"/ociVersion", "1", "ociVersion: must be a string, not number"},
      {"/root", "null", "root: missing"},
      {"/root/path", "\"\"", "root.path: must not be empty"},
      {"/root/readonly", "\"yes\"", "root.readonly: must be true or false, not string"},
      {"/process", "[]", "process: must be an object, not array"},
      {"/process/args", "[]", "process.args: must name a program"},
      {"/process/args", "null", "process.args: must name a program"},
      {"/process/args", "[1]", "process.args[0]: must be a string, not number"},
      {"/process/cwd", "null", "process.cwd: missing"},
      {"/process/cwd", "\"srv\"", "process.cwd: \"srv\" must be an absolute path"},
      {"/process/user/uid", "-1", "process.user.uid: -1 is negative"},
      {"/process/user/uid", "4294967296", "process.user.uid: 4294967296 is out of range"},
      {"/process/user/uid", "\"0\"", "process.user.uid: must be an integer, not string"},
      {"/process/user/uid", "1.5", "process.user.uid: must be an integer, not number"},
      {"/process/user/additionalGids", "[4294967296]",
       "process.user.additionalGids[0]: 4294967296 is out of range"},
      {"/process/rlimits", R"([{"type":"A","soft":1}])", "process.rlimits[0].hard: missing"},
      {"/process/rlimits", R"([{"type":"A","soft":1,"hard":1},{"type":"A","soft":1,"hard":1}])",
       "process.rlimits[1]: \"A\" is set twice"},
      {"/process/consoleSize", R"({"height":1,"width":65536})",
       "process.consoleSize.width: 65536 is out of range"},
      {"/process/oomScoreAdj", "2147483648", "process.oomScoreAdj: 2147483648 is out of range"},
      {"/mounts", "{}", "mounts: must be an array, not object"},
      {"/mounts", R"([{"type":"tmpfs"}])", "mounts[0].destination: missing"},
      {"/mounts", R"([{"destination":""}])", "mounts[0].destination: must not be empty"},
      {"/mounts", R"([{"destination":"/a","options":"ro"}])",
       "mounts[0].options: must be an array of strings, not string"},
      {"/hooks/prestart", R"([{"path":"x"}])",
       "hooks.prestart[0].path: \"x\" must be an absolute path"},
      {"/hooks/poststop", R"([{"path":"/x","timeout":0}])",
       "hooks.poststop[0].timeout: must be greater than zero"},
      {"/annotations", R"({"":"x"})", "annotations: a key must not be empty"},
      {"/annotations", R"({"a":1})", "annotations.a: must be a string, not number"},
      {"/linux/namespaces", R"([{"type":"x"}])",
       "linux.namespaces[0].type: \"x\" is not a type of namespace"},
      {"/linux/namespaces", R"([{"type":"pid"},{"type":"pid"}])",
       "linux.namespaces[1]: the type of namespace is set twice"},
      {"/linux/namespaces", R"([{"type":"pid","path":"proc/1"}])",
       "linux.namespaces[0].path: \"proc/1\" must be an absolute path"},
      {"/linux/uidMappings", R"([{"containerID":0,"hostID":0}])",
       "linux.uidMappings[0].size: missing"},
      {"/linux/devices", R"([{"path":"/dev/x","type":"x"}])",
       "linux.devices[0].type: \"x\" is not c, u, b or p"},
      {"/linux/devices", R"([{"path":"/dev/x","type":"c","major":1}])",
       "linux.devices[0].minor: missing"},
      {"/linux/resources/devices", R"([{"access":"r"}])",
       "linux.resources.devices[0].allow: missing"},
      {"/linux/resources/devices", R"([{"allow":true,"type":"u"}])",
       "linux.resources.devices[0].type: \"u\" is not a, b or c"},
      {"/linux/resources/devices", R"([{"allow":true,"access":"rx"}])",
       "linux.resources.devices[0].access: must be made of r, w and m"},
      {"/linux/resources/memory/limit", "9223372036854775808",
       "linux.resources.memory.limit: 9223372036854775808 is out of range"},
      {"/linux/resources/cpu/shares", "-1", "linux.resources.cpu.shares: -1 is negative"},
      {"/linux/resources/blockIO/weight", "65536",
       "linux.resources.blockIO.weight: 65536 is out of range"},
      {"/linux/resources/hugepageLimits", R"([{"limit":1}])",
       "linux.resources.hugepageLimits[0].pageSize: missing"},
      {"/linux/resources/unified", R"({"a":1})",
       "linux.resources.unified.a: must be a string, not number"},
      {"/linux/seccomp", "{}", "linux.seccomp.defaultAction: missing"},
      {"/linux/seccomp", R"({"defaultAction":"A","syscalls":[{"names":[],"action":"A"}]})",
       "linux.seccomp.syscalls[0].names: must name a system call"},
      {"/linux/seccomp", R"({"defaultAction":"A","syscalls":[{"names":["a"]}]})",
       "linux.seccomp.syscalls[0].action: missing"},
      {"/linux/sysctl", "[]", "linux.sysctl: must be an object, not array"},
  };
  for (const auto& row : table) {
    SCOPED_TRACE(std::string(row.pointer) + " = " + row.value);
    EXPECT_EQ(why(row.pointer, row.value), row.said);
  }
}

TEST(RuntimeSpec, MinusOneAsADeviceNumberIsAnyNumber) {
  const auto spec =
      accepted("/linux/resources/devices", R"([{"allow":true,"type":"c","major":-1,"minor":-1}])");
  EXPECT_FALSE(spec.linux_.resources.devices[0].major);
  EXPECT_FALSE(spec.linux_.resources.devices[0].minor);
}

TEST(RuntimeSpec, NullsAreAbsent) {
  json spec = json::parse(sample("full"));
  for (auto& [key, member] : spec["linux"].items()) member = nullptr;
  for (const char* key : {"mounts", "process", "hooks", "annotations", "hostname", "domainname"}) {
    spec[key] = nullptr;
  }
  const oci::RuntimeSpec parsed = oci::parse_runtime_spec(spec.dump());
  EXPECT_EQ(parsed.linux_, oci::Linux());
  EXPECT_FALSE(parsed.process);
}

TEST(RuntimeSpec, RefusesWhatIsNotJson) {
  const auto said = [](const std::string& text) {
    return refusal_of([&] { oci::parse_runtime_spec(text); });
  };
  said("");
  said("[]");
  said("null");
  said("{");
  said(R"({"ociVersion":"1.0.2","ociVersion":"1.0.2","root":{"path":"x"}})");
  EXPECT_EQ(said(std::string((16U << 20U) + 1, ' ')),
            "runtime spec: JSON larger than 16777216 bytes");
}

TEST(RuntimeSpec, TheEmptyValueComesBack) {
  EXPECT_EQ(oci::parse_runtime_spec(oci::render_runtime_spec({})), oci::RuntimeSpec());
}

TEST(RuntimeSpec, BytesThatAreNotTextAreReplaced) {
  oci::RuntimeSpec spec;
  spec.hostname = "a\xff";
  EXPECT_EQ(oci::parse_runtime_spec(oci::render_runtime_spec(spec)).hostname, "a\xEF\xBF\xBD");
}

TEST(Process, IsReadAlone) {
  const json process = json::parse(sample("full"))["process"];
  EXPECT_EQ(oci::parse_process(process.dump()), *oci::parse_runtime_spec(sample("full")).process);
  EXPECT_EQ(refusal_of([] { oci::parse_process(R"({"cwd":"/"})"); }),
            "process: args: must name a program");
}

}  // namespace
