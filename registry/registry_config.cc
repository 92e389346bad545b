#include "registry/registry_config.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/text.h"

namespace registry {
namespace {

[[noreturn]] void throw_invalid(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

// The name under which credentials for a server are kept.
std::string domain_of(const Url& server) {
  return server.host == "registry-1.docker.io" ? "docker.io" : server.authority();
}

template <class Value>
const Value* find_host(const std::map<std::string, Value>& table, const std::string& host) {
  const auto found = table.find(host);
  return found != table.end() ? &found->second : nullptr;
}

void add_certificates(const RegistryConfig& config, Endpoint& endpoint) {
  for (const std::string& name : {endpoint.base.authority(), endpoint.repository.domain}) {
    const TlsSettings* found = find_host(config.certificates, name);
    if (found == nullptr) continue;
    endpoint.tls.authorities.insert(endpoint.tls.authorities.end(), found->authorities.begin(),
                                    found->authorities.end());
    endpoint.tls.clients.insert(endpoint.tls.clients.end(), found->clients.begin(),
                                found->clients.end());
    return;
  }
}

bool can(const HostSettings& host, Operation operation) {
  switch (operation) {
    case Operation::kPull:
      return host.can_pull;
    case Operation::kResolve:
      return host.can_resolve;
    case Operation::kPush:
      return host.can_push;
  }
  return false;
}

Endpoint endpoint_of(const HostSettings& host, const Repository& repository) {
  const bool has_scheme = host.url.find("://") != std::string::npos;
  Endpoint endpoint{.base = Url::parse((has_scheme ? "" : "https://") + host.url),
                    .repository = repository};
  std::string& path = endpoint.base.target;
  while (path.ends_with('/')) path.pop_back();
  if (!host.override_path && !path.ends_with("/v2")) path += "/v2";
  path += '/';
  endpoint.repository.api_host = endpoint.base.authority();
  endpoint.repository.domain = domain_of(endpoint.base);
  endpoint.tls = host.tls;
  endpoint.headers = host.headers;
  endpoint.connect_timeout_ms = host.dial_timeout_ms;
  return endpoint;
}

Endpoint upstream_of(const Repository& repository) {
  Endpoint endpoint{.base = Url::parse("https://" + repository.api_host), .repository = repository};
  endpoint.base.target = "/v2/";
  endpoint.may_use_http = true;  // where the host is insecure
  return endpoint;
}

std::vector<Endpoint> plan_by_hosts_file(const HostsFile& file, const Repository& repository,
                                         Operation operation) {
  const Endpoint upstream = upstream_of(repository);
  std::vector<Endpoint> endpoints;
  for (const HostSettings& host : file.mirrors) {
    if (!can(host, operation)) continue;
    Endpoint endpoint = endpoint_of(host, repository);
    endpoint.is_mirror = true;
    if (!is_same_origin(endpoint.base, upstream.base)) endpoint.name_space = repository.domain;
    endpoints.push_back(std::move(endpoint));
  }
  HostSettings server = file.server;
  if (server.url.empty()) server.url = "https://" + repository.api_host;
  if (can(server, operation)) {
    Endpoint endpoint = endpoint_of(server, repository);
    const bool is_upstream = is_same_origin(endpoint.base, upstream.base);
    endpoint.may_use_http = file.server.url.empty();
    if (!is_upstream) endpoint.name_space = repository.domain;
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

// Whether a prefix covers the name, and how much of the name it replaces; npos: it does not.
std::size_t covered_by(const std::string& prefix, const std::string& name) {
  if (prefix.starts_with("*.")) {
    const std::string host = name.substr(0, name.find('/'));
    const bool fits = host.size() > prefix.size() - 1 && host.ends_with(prefix.substr(1));
    return fits ? host.size() : std::string::npos;
  }
  if (!name.starts_with(prefix)) return std::string::npos;
  // "registry.lan" must not cover "registry.lan:5000" or "registry.lan.evil".
  const bool is_whole = name.size() == prefix.size() || name[prefix.size()] == '/';
  return is_whole ? prefix.size() : std::string::npos;
}

const ConfiguredRegistry* find_registry(const RegistriesConf& conf, const std::string& name) {
  const ConfiguredRegistry* best = nullptr;
  for (const ConfiguredRegistry& registry : conf.registries) {
    if (covered_by(registry.prefix, name) == std::string::npos) continue;
    if (best == nullptr || registry.prefix.size() > best->prefix.size()) best = &registry;
  }
  return best;
}

Endpoint endpoint_at(const std::string& location, bool insecure) {
  const std::size_t slash = location.find('/');
  const std::string domain = location.substr(0, slash);
  const Repository repository{
      .domain = domain,
      .api_host = domain == "docker.io" ? "registry-1.docker.io" : domain,
      .path = slash == std::string::npos ? std::string() : location.substr(slash + 1)};
  Endpoint endpoint = upstream_of(repository);
  endpoint.tls.skip_verify = insecure;
  return endpoint;
}

bool serves(const ConfiguredMirror& mirror, Operation operation) {
  switch (mirror.serves) {
    case ConfiguredMirror::For::kAll:
      return true;
    case ConfiguredMirror::For::kDigestOnly:
      return operation == Operation::kPull;
    case ConfiguredMirror::For::kTagOnly:
      return operation == Operation::kResolve;
  }
  return false;
}

std::vector<Endpoint> plan_by_registries(const ConfiguredRegistry& registry,
                                         const Repository& repository, Operation operation) {
  const std::string name = repository.domain + "/" + repository.path;
  if (registry.blocked) {
    throw_invalid("registry " + base::printable(registry.prefix) +
                  " is blocked by registries.conf");
  }
  const std::string rest = name.substr(covered_by(registry.prefix, name));
  std::vector<Endpoint> endpoints;
  for (const ConfiguredMirror& mirror : registry.mirrors) {
    if (operation == Operation::kPush || !serves(mirror, operation)) continue;
    endpoints.push_back(endpoint_at(mirror.location + rest, mirror.insecure));
    endpoints.back().is_mirror = true;
  }
  endpoints.push_back(
      endpoint_at(registry.location.empty() ? name : registry.location + rest, registry.insecure));
  return endpoints;
}

std::vector<Endpoint> plan_all(const RegistryConfig& config, const Repository& repository,
                               Operation operation) {
  const HostsFile* file = find_host(config.hosts, repository.domain);
  if (file == nullptr && repository.domain != repository.api_host) {
    file = find_host(config.hosts, repository.api_host);
  }
  const ConfiguredRegistry* registry =
      find_registry(config.registries, repository.domain + "/" + repository.path);
  if (file == nullptr && registry == nullptr) file = find_host(config.hosts, "_default");
  if (file != nullptr) return plan_by_hosts_file(*file, repository, operation);
  if (registry != nullptr) return plan_by_registries(*registry, repository, operation);
  return {upstream_of(repository)};
}

}  // namespace

void RegistriesConf::merge(RegistriesConf later) {
  for (ConfiguredRegistry& registry : later.registries) {
    std::erase_if(registries,
                  [&](const ConfiguredRegistry& old) { return old.prefix == registry.prefix; });
    registries.push_back(std::move(registry));
  }
  if (!later.search_registries.empty()) search_registries = std::move(later.search_registries);
  for (auto& [name, target] : later.aliases) aliases[name] = std::move(target);
  if (later.short_names != ShortNames::kEnforcing) short_names = later.short_names;
}

std::vector<Endpoint> plan_endpoints(const RegistryConfig& config, const Repository& repository,
                                     Operation operation) {
  for (const std::string& name : {std::string(), repository.domain, repository.api_host}) {
    const auto error = config.errors.find(name);
    if (error != config.errors.end()) throw_invalid(error->second);
  }
  std::vector<Endpoint> endpoints = plan_all(config, repository, operation);
  if (endpoints.empty()) {
    throw_invalid("no server is configured for this use of registry " + repository.domain);
  }
  if (operation == Operation::kPush) endpoints.resize(1);
  endpoints.back().is_mirror = false;  // its answer is the answer
  for (Endpoint& endpoint : endpoints) add_certificates(config, endpoint);
  return endpoints;
}

std::vector<std::string> list_credential_domains(const RegistryConfig& config,
                                                 const std::string& name) {
  const std::size_t slash = std::min(name.find('/'), name.size());
  Repository repository = Repository::whole(name.substr(0, slash));
  if (slash < name.size()) repository.path = name.substr(slash + 1);
  std::vector<std::string> domains = {repository.domain};
  for (const Operation operation : {Operation::kPull, Operation::kResolve, Operation::kPush}) {
    try {
      for (const Endpoint& endpoint : plan_endpoints(config, repository, operation)) {
        domains.push_back(endpoint.repository.domain);
      }
    } catch (const base::Error&) {  // told when it is asked for
    }
  }
  std::sort(domains.begin(), domains.end());
  domains.erase(std::unique(domains.begin(), domains.end()), domains.end());
  return domains;
}

}  // namespace registry
