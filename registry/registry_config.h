// RegistryConfig: what the files of containerd, docker and containers say about registries, as
// plain values.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "registry/endpoint.h"

namespace registry {

// One server of a hosts.toml (containerd, docs/hosts.md).
struct HostSettings {
  std::string url;  // "https://mirror.lan/v2"; without a scheme https
  bool can_pull = true, can_resolve = true, can_push = true;
  TlsSettings tls;
  std::vector<std::string> headers;
  bool override_path = false;  // the URL's path is used as it is, without "/v2"
  int dial_timeout_ms = 0;
};

struct HostsFile {
  std::vector<HostSettings> mirrors;  // in the file's order
  HostSettings server;                // its url is empty where the file names none
};

// registries.conf, version 2 (containers-registries.conf(5)).
struct ConfiguredMirror {
  std::string location;
  bool insecure = false;
  enum class For { kAll, kDigestOnly, kTagOnly } serves = For::kAll;
};
struct ConfiguredRegistry {
  std::string prefix;    // "docker.io/library", "*.example.com"
  std::string location;  // what replaces the prefix; empty: nothing does
  bool insecure = false, blocked = false;
  std::vector<ConfiguredMirror> mirrors;
};
struct RegistriesConf {
  std::vector<ConfiguredRegistry> registries;
  std::vector<std::string> search_registries;  // for names without a registry
  std::map<std::string, std::string> aliases;  // "ubi9" to "registry.access.redhat.com/ubi9"
  enum class ShortNames { kEnforcing, kPermissive, kDisabled } short_names = ShortNames::kEnforcing;

  // What `later` says counts, as a file in registries.conf.d does over the one before it.
  void merge(RegistriesConf later);
};

struct RegistryConfig {
  std::map<std::string, HostsFile> hosts;           // by registry ("lan:5000"), or "_default"
  std::map<std::string, TlsSettings> certificates;  // docker's layout, by server
  RegistriesConf registries;
  // A folder or file that can't be read matters to its own registry only; by registry, "" for all.
  std::map<std::string, std::string> errors;
};

// The servers to be asked for `repository`, in this order; for kPush it is one. A hosts.toml for
// the registry decides, else registries.conf. Throws kInvalid where the registry is blocked or what
// is configured for it can't be used. Pure.
std::vector<Endpoint> plan_endpoints(const RegistryConfig& config, const Repository& repository,
                                     Operation operation);

// Whose credentials may be wanted for "lan:5000/team/app", or for a registry as a whole
// ("lan:5000"): those of all its servers.
std::vector<std::string> list_credential_domains(const RegistryConfig& config,
                                                 const std::string& name);

}  // namespace registry
