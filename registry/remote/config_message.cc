#include "registry/remote/config_message.h"

#include <string>
#include <vector>

#include "base/error.h"

namespace registry {
namespace {

constexpr std::uint64_t kMaxEntries = 10'000;

// --- lists and tables of anything below ---

template <class List, class Write>
void write_all(FieldWriter& writer, const List& list, Write&& write) {
  writer.number(list.size());
  for (const auto& entry : list) write(writer, entry);
}

std::uint64_t read_count(FieldReader& reader) {
  const std::uint64_t count = reader.number();
  if (count <= kMaxEntries) return count;
  throw_malformed();
}

template <class Value, class Read>
std::vector<Value> read_all(FieldReader& reader, Read&& read) {
  std::vector<Value> list;
  for (std::uint64_t left = read_count(reader); left > 0; --left) list.push_back(read(reader));
  return list;
}

template <class Value, class Write>
void write_table(FieldWriter& writer, const std::map<std::string, Value>& table, Write&& write) {
  writer.number(table.size());
  for (const auto& [name, value] : table) {
    writer.text(name);
    write(writer, value);
  }
}

template <class Value, class Read>
std::map<std::string, Value> read_table(FieldReader& reader, Read&& read) {
  std::map<std::string, Value> table;
  for (std::uint64_t left = read_count(reader); left > 0; --left) {
    std::string name = reader.text();
    table.emplace(std::move(name), read(reader));
  }
  return table;
}

void write_text(FieldWriter& writer, const std::string& text) { writer.text(text); }
std::string read_text(FieldReader& reader) { return reader.text(); }
void write_flag(FieldWriter& writer, bool flag) { writer.number(flag ? 1 : 0); }
bool read_flag(FieldReader& reader) { return reader.number() != 0; }

// --- the values ---

void write_tls(FieldWriter& writer, const TlsSettings& tls) {
  write_all(writer, tls.authorities, write_text);
  write_all(writer, tls.clients, [](FieldWriter& to, const ClientCertificate& client) {
    to.text(client.certificate).text(client.key);
  });
  write_flag(writer, tls.skip_verify);
}

TlsSettings read_tls(FieldReader& reader) {
  TlsSettings tls;
  tls.authorities = read_all<std::string>(reader, read_text);
  tls.clients = read_all<ClientCertificate>(reader, [](FieldReader& from) {
    ClientCertificate client;
    client.certificate = from.text();
    client.key = from.text();
    return client;
  });
  tls.skip_verify = read_flag(reader);
  return tls;
}

void write_host(FieldWriter& writer, const HostSettings& host) {
  writer.text(host.url);
  write_flag(writer, host.can_pull);
  write_flag(writer, host.can_resolve);
  write_flag(writer, host.can_push);
  write_tls(writer, host.tls);
  write_all(writer, host.headers, write_text);
  write_flag(writer, host.override_path);
  writer.number(static_cast<std::uint64_t>(host.dial_timeout_ms));
}

HostSettings read_host(FieldReader& reader) {
  HostSettings host;
  host.url = reader.text();
  host.can_pull = read_flag(reader);
  host.can_resolve = read_flag(reader);
  host.can_push = read_flag(reader);
  host.tls = read_tls(reader);
  host.headers = read_all<std::string>(reader, read_text);
  host.override_path = read_flag(reader);
  host.dial_timeout_ms = static_cast<int>(reader.number() & 0x7FFFFFFFU);
  return host;
}

void write_hosts_file(FieldWriter& writer, const HostsFile& file) {
  write_all(writer, file.mirrors, write_host);
  write_host(writer, file.server);
}

HostsFile read_hosts_file(FieldReader& reader) {
  HostsFile file;
  file.mirrors = read_all<HostSettings>(reader, read_host);
  file.server = read_host(reader);
  return file;
}

void write_mirror(FieldWriter& writer, const ConfiguredMirror& mirror) {
  writer.text(mirror.location);
  write_flag(writer, mirror.insecure);
  writer.number(static_cast<std::uint64_t>(mirror.serves));
}

ConfiguredMirror read_mirror(FieldReader& reader) {
  ConfiguredMirror mirror;
  mirror.location = reader.text();
  mirror.insecure = read_flag(reader);
  mirror.serves = static_cast<ConfiguredMirror::For>(reader.number() % 3);
  return mirror;
}

void write_registry(FieldWriter& writer, const ConfiguredRegistry& registry) {
  writer.text(registry.prefix).text(registry.location);
  write_flag(writer, registry.insecure);
  write_flag(writer, registry.blocked);
  write_all(writer, registry.mirrors, write_mirror);
}

ConfiguredRegistry read_registry(FieldReader& reader) {
  ConfiguredRegistry registry;
  registry.prefix = reader.text();
  registry.location = reader.text();
  registry.insecure = read_flag(reader);
  registry.blocked = read_flag(reader);
  registry.mirrors = read_all<ConfiguredMirror>(reader, read_mirror);
  return registry;
}

}  // namespace

// Short names are expanded before anything is asked: they stay behind.
void write_config(FieldWriter& writer, const RegistryConfig& config) {
  write_table(writer, config.hosts, write_hosts_file);
  write_table(writer, config.certificates, write_tls);
  write_all(writer, config.registries.registries, write_registry);
  write_table(writer, config.errors, write_text);
}

RegistryConfig read_config(FieldReader& reader) {
  RegistryConfig config;
  config.hosts = read_table<HostsFile>(reader, read_hosts_file);
  config.certificates = read_table<TlsSettings>(reader, read_tls);
  config.registries.registries = read_all<ConfiguredRegistry>(reader, read_registry);
  config.errors = read_table<std::string>(reader, read_text);
  return config;
}

}  // namespace registry
