#include "registry/config_files.h"

#include <algorithm>
#include <optional>
#include <string>
#include <system_error>

#include "base/error.h"
#include "base/files.h"
#include "registry/environment.h"
#include "registry/hosts_toml.h"
#include "registry/registries_conf.h"

namespace registry {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = 1U << 20U;

fs::path own_folder() {
  if (const char* folder = find_environment("XDG_CONFIG_HOME")) return folder;
  const char* home = find_environment("HOME");
  return home != nullptr ? fs::path(home) / ".config" : fs::path();
}

// By name, so that the order does not depend on the file system; none where there is no folder.
std::vector<fs::path> list_folder(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    entries.push_back(at->path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

// "lan_5000_" is "lan:5000" where a colon can't be in a folder's name.
std::string host_of(const fs::path& folder) {
  std::string name = folder.filename().string();
  const std::size_t underscore =
      name.size() > 1 && name.ends_with('_') ? name.rfind('_', name.size() - 2) : std::string::npos;
  if (underscore == std::string::npos || underscore == 0) return name;
  const std::string port = name.substr(underscore + 1, name.size() - underscore - 2);
  const bool is_port = !port.empty() && port.find_first_not_of("0123456789") == std::string::npos;
  return is_port ? name.substr(0, underscore) + ":" + port : name;
}

// docker's layout: *.crt are authorities, x.cert and x.key a client's.
TlsSettings read_certificates(const std::vector<fs::path>& files) {
  TlsSettings tls;
  const auto has = [&](const fs::path& file) {
    return std::find(files.begin(), files.end(), file) != files.end();
  };
  for (const fs::path& file : files) {
    const fs::path other =
        fs::path(file).replace_extension(file.extension() == ".cert" ? ".key" : ".cert");
    if (file.extension() == ".crt") {
      tls.authorities.push_back(base::read_file(file, kMaxFileBytes));
    } else if (file.extension() == ".cert") {
      if (!has(other)) {
        throw base::Error(
            base::ErrorKind::kInvalid,
            "missing key " + other.string() + " for client certificate " + file.string());
      }
      tls.clients.push_back({.certificate = base::read_file(file, kMaxFileBytes),
                             .key = base::read_file(other, kMaxFileBytes)});
    } else if (file.extension() == ".key" && !has(other)) {
      throw base::Error(base::ErrorKind::kInvalid, "missing client certificate " + other.string() +
                                                       " for key " + file.string());
    }
  }
  return tls;
}

void load_host(const fs::path& folder, const std::string& host, RegistryConfig& config) {
  const std::vector<fs::path> files = list_folder(folder);
  const auto text = base::find_file(folder / "hosts.toml", kMaxFileBytes);
  if (text && !config.hosts.contains(host)) {
    config.hosts[host] = base::while_doing((folder / "hosts.toml").string(), [&] {
      return parse_hosts_toml(*text, [&](const std::string& name) {
        return base::read_file(folder / name, kMaxFileBytes);
      });
    });
  }
  // containerd does not look at certificates beside a hosts.toml either.
  if (text || config.certificates.contains(host)) return;
  TlsSettings tls = read_certificates(files);
  if (tls.says_something()) config.certificates[host] = std::move(tls);
}

void load_certificates(const fs::path& root, RegistryConfig& config) {
  for (const fs::path& folder : list_folder(root)) {
    std::error_code error;
    if (!fs::is_directory(folder, error)) continue;
    const std::string host = host_of(folder);
    try {
      load_host(folder, host, config);
    } catch (const base::Error& failure) {
      config.errors.emplace(host == "_default" ? "" : host, failure.what());
    }
  }
}

void load_registries_file(const fs::path& file, bool with_short_names, RegistryConfig& config) {
  const auto text = base::find_file(file, kMaxFileBytes);
  if (!text) return;
  RegistriesConf conf =
      base::while_doing(file.string(), [&] { return parse_registries_conf(*text); });
  if (!with_short_names) {
    conf.aliases.clear();
    conf.search_registries.clear();
  }
  config.registries.merge(std::move(conf));
}

void load_registries(const fs::path& file, bool with_short_names, RegistryConfig& config) {
  try {
    load_registries_file(file, with_short_names, config);
    for (const fs::path& part : list_folder(file.string() + ".d")) {
      if (part.extension() == ".conf") load_registries_file(part, with_short_names, config);
    }
  } catch (const base::Error& failure) {
    config.errors.emplace("", failure.what());
  }
}

}  // namespace

ConfigPaths default_config_paths() {
  ConfigPaths paths;
  if (const char* folder = find_environment("SAMPAN_CERTS_D")) {
    paths.certificate_folders.emplace_back(folder);
  }
  const fs::path own = own_folder();
  for (const char* program : {"sampan", "containerd", "docker", "containers"}) {
    const fs::path part = fs::path(program) / "certs.d";
    if (own.is_absolute()) paths.certificate_folders.push_back(own / part);
    paths.certificate_folders.push_back("/etc" / part);
  }
  if (const char* file = find_environment("CONTAINERS_REGISTRIES_CONF")) {
    paths.registries_conf = {file};
    paths.short_names_from = {file};
    return paths;
  }
  paths.registries_conf = {"/etc/containers/registries.conf"};
  if (own.is_absolute()) paths.registries_conf.push_back(own / "containers/registries.conf");
  paths.short_names_from = {"/etc/sampan/registries.conf"};
  if (own.is_absolute()) paths.short_names_from.push_back(own / "sampan/registries.conf");
  for (const fs::path& file : paths.short_names_from) paths.registries_conf.push_back(file);
  return paths;
}

RegistryConfig load_registry_config(const ConfigPaths& paths) {
  RegistryConfig config;
  for (const fs::path& root : paths.certificate_folders) load_certificates(root, config);
  for (const fs::path& file : paths.registries_conf) {
    const bool with_short_names =
        std::find(paths.short_names_from.begin(), paths.short_names_from.end(), file) !=
        paths.short_names_from.end();
    load_registries(file, with_short_names, config);
  }
  return config;
}

}  // namespace registry
