#include <algorithm>
#include <linux/mount.h>

#include "base/error.h"
#include "runtime/plan.h"

namespace runtime {
namespace {

using base::Error;
using base::ErrorKind;

// The System V and POSIX queues, which each IPC namespace has for itself; see ipc_namespaces(7).
constexpr const char* kIpcKeys[] = {"kernel.msgmax", "kernel.msgmnb",         "kernel.msgmni",
                                    "kernel.sem",    "kernel.shmall",         "kernel.shmmax",
                                    "kernel.shmmni", "kernel.shm_rmid_forced"};

bool is_ipc(const std::string& key) {
  return key.starts_with("fs.mqueue.") ||
         std::any_of(std::begin(kIpcKeys), std::end(kIpcKeys),
                     [&](const char* each) { return key == each; });
}

// "net/ipv4/conf/eth0.100/forwarding" and "net.ipv4.conf.eth0/100.forwarding" are the same key:
// whichever separator comes first is the separator; see sysctl.d(5).
std::string path_of(const std::string& key) {
  std::string path = key;
  if (const std::size_t first = key.find_first_of("./");
      first != std::string::npos && key[first] == '.') {
    for (char& letter : path) {
      if (letter == '.') {
        letter = '/';
      } else if (letter == '/') {
        letter = '.';
      }
    }
  }
  return path;
}

void check_key(const std::string& key, const std::string& path, const std::string& value) {
  const bool plain = std::all_of(key.begin(), key.end(), [](unsigned char letter) {
    return std::isalnum(letter) != 0 || letter == '.' || letter == '/' || letter == '_' ||
           letter == '-' || letter == '@' || letter == ':';
  });
  if (key.empty() || !plain || ("/" + path + "/").find("/../") != std::string::npos) {
    throw Error(ErrorKind::kInvalid, "sysctl \"" + key + "\"");
  }
  if (std::any_of(value.begin(), value.end(),
                  [](unsigned char letter) { return letter < ' ' && letter != '\t'; })) {
    throw Error(ErrorKind::kInvalid, "sysctl " + key + ": a control character in its value");
  }
}

// Only what belongs to a namespace of the container itself may be changed: the rest is the host's.
void check_scope(const oci::RuntimeSpec& spec, const std::string& dotted) {
  const auto need = [&](oci::NamespaceType type, const char* name) {
    if (has_namespace(spec, type)) return;
    throw Error(ErrorKind::kInvalid,
                "sysctl " + dotted + ": the container shares the host's " + name + " namespace");
  };
  if (is_ipc(dotted)) return need(oci::NamespaceType::kIpc, "IPC");
  if (dotted.starts_with("net.")) return need(oci::NamespaceType::kNetwork, "network");
  if (dotted == "kernel.domainname" || dotted == "kernel.hostname") {
    return need(oci::NamespaceType::kUts, "UTS");
  }
  throw Error(ErrorKind::kInvalid, "sysctl " + dotted + " is not the container's own");
}

// The container's procfs takes what is written for its namespaces as well as one that is made for
// that and whose end has to be waited for.
void offer_procfs(Plan& plan) {
  const auto offers = [](const Step& step) {
    return step.kind == StepKind::kMount && step.type == "proc" &&
           (step.attr_set & MOUNT_ATTR_RDONLY) == 0;
  };
  const auto mount = std::find_if(plan.steps.begin(), plan.steps.end(), offers);
  if (mount != plan.steps.end()) mount->flags |= kKeepSys;
}

}  // namespace

void plan_sysctls(const oci::RuntimeSpec& spec, Plan& plan) {
  for (const auto& [key, value] : spec.linux_.sysctl) {
    const std::string path = path_of(key);
    check_key(key, path, value);
    std::string dotted = path;
    std::replace(dotted.begin(), dotted.end(), '/', '.');
    check_scope(spec, dotted);
    Step step{.kind = StepKind::kSysctl};
    step.target = path;
    step.source = value;
    plan.steps.push_back(std::move(step));
  }
  if (!spec.linux_.sysctl.empty()) offer_procfs(plan);
}

}  // namespace runtime
