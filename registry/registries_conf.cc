#include "registry/registries_conf.h"

#include <utility>

#include <toml++/toml.h>

#include "base/error.h"
#include "base/text.h"
#include "registry/config_line.h"

namespace registry {
namespace {

void read(const toml::table& table, std::string_view name, std::string& out) {
  const toml::node* node = table.get(name);
  if (node == nullptr) return;
  const auto text = node->value_exact<std::string>();
  if (!text) throw_at_line(node->source().begin.line, std::string(name) + " must be a text");
  out = *text;
}

void read(const toml::table& table, std::string_view name, bool& out) {
  const toml::node* node = table.get(name);
  if (node == nullptr) return;
  const auto flag = node->value_exact<bool>();
  if (!flag) throw_at_line(node->source().begin.line, std::string(name) + " must be true or false");
  out = *flag;
}

// The tables of a [[list]].
std::vector<const toml::table*> tables_of(const toml::table& parent, std::string_view name) {
  std::vector<const toml::table*> tables;
  const toml::node* node = parent.get(name);
  if (node == nullptr) return tables;
  const toml::array* list = node->as_array();
  if (list == nullptr) {
    throw_at_line(node->source().begin.line,
                  std::string(name) + " must be a list of tables; version 1 is not supported");
  }
  for (const toml::node& element : *list) {
    const toml::table* table = element.as_table();
    if (table == nullptr) throw_at_line(element.source().begin.line, "a table is expected");
    tables.push_back(table);
  }
  return tables;
}

// Without a scheme, which podman refuses, and without a slash at the end.
std::string checked_location(const toml::table& table, std::string location) {
  if (location.find("://") != std::string::npos)
    throw_at_line(table.source().begin.line, "a location has no scheme");
  while (location.ends_with('/')) location.pop_back();
  return location;
}

ConfiguredMirror::For purpose_of(const toml::table& table, bool by_digest_only) {
  using For = ConfiguredMirror::For;
  std::string purpose;
  read(table, "pull-from-mirror", purpose);
  if (purpose == "digest-only" || (purpose.empty() && by_digest_only)) return For::kDigestOnly;
  if (purpose == "tag-only") return For::kTagOnly;
  if (!purpose.empty() && purpose != "all")
    throw_at_line(table.source().begin.line, "unknown value of pull-from-mirror");
  return For::kAll;
}

ConfiguredRegistry read_registry(const toml::table& table) {
  ConfiguredRegistry registry;
  read(table, "prefix", registry.prefix);
  read(table, "location", registry.location);
  registry.prefix = checked_location(table, std::move(registry.prefix));
  registry.location = checked_location(table, std::move(registry.location));
  if (registry.prefix.empty()) registry.prefix = registry.location;
  if (registry.prefix.empty())
    throw_at_line(table.source().begin.line, "a registry needs a location or a prefix");
  const std::size_t star = registry.prefix.find('*');
  if (star != std::string::npos && (!registry.prefix.starts_with("*.") ||
                                    registry.prefix.find_first_of("*/:", 1) != std::string::npos)) {
    throw_at_line(table.source().begin.line, "a wildcard must be the first label of a host");
  }
  read(table, "insecure", registry.insecure);
  read(table, "blocked", registry.blocked);
  bool by_digest_only = false;
  read(table, "mirror-by-digest-only", by_digest_only);
  for (const toml::table* entry : tables_of(table, "mirror")) {
    ConfiguredMirror mirror;
    read(*entry, "location", mirror.location);
    mirror.location = checked_location(*entry, std::move(mirror.location));
    if (mirror.location.empty())
      throw_at_line(entry->source().begin.line, "a mirror needs a location");
    read(*entry, "insecure", mirror.insecure);
    mirror.serves = purpose_of(*entry, by_digest_only);
    registry.mirrors.push_back(std::move(mirror));
  }
  return registry;
}

void read_short_names(const toml::table& root, RegistriesConf& conf) {
  if (const toml::node* node = root.get("unqualified-search-registries")) {
    const toml::array* list = node->as_array();
    if (list == nullptr)
      throw_at_line(node->source().begin.line, "a list of registries is expected");
    for (const toml::node& element : *list) {
      const auto text = element.value_exact<std::string>();
      if (!text) throw_at_line(element.source().begin.line, "a registry is expected");
      conf.search_registries.push_back(*text);
    }
  }
  if (const toml::node* node = root.get("aliases")) {
    const toml::table* table = node->as_table();
    if (table == nullptr)
      throw_at_line(node->source().begin.line, "a table of aliases is expected");
    for (const auto& [name, target] : *table) {
      const auto text = target.value_exact<std::string>();
      if (!text) throw_at_line(target.source().begin.line, "a name is expected");
      conf.aliases[std::string(name.str())] = *text;
    }
  }
  std::string mode;
  read(root, "short-name-mode", mode);
  if (mode == "permissive") conf.short_names = RegistriesConf::ShortNames::kPermissive;
  if (mode == "disabled") conf.short_names = RegistriesConf::ShortNames::kDisabled;
}

}  // namespace

RegistriesConf parse_registries_conf(std::string_view text) {
  try {
    const toml::table root = toml::parse(text);
    if (root.get("registries") != nullptr) {
      throw_at_line(root.get("registries")->source().begin.line,
                    "version 1 of registries.conf is not supported");
    }
    RegistriesConf conf;
    for (const toml::table* table : tables_of(root, "registry")) {
      conf.registries.push_back(read_registry(*table));
    }
    read_short_names(root, conf);
    return conf;
  } catch (const toml::parse_error& error) {
    throw_at_line(error.source().begin.line, base::printable(error.description()));
  }
}

std::vector<std::string> expand_short_name(const RegistriesConf& conf, const std::string& name) {
  const std::size_t slash = name.find('/');
  const std::string first = name.substr(0, slash);
  // As references do (distribution/reference): no repository's first component has capitals.
  const bool names_registry =
      slash != std::string::npos &&
      (first.find_first_of(".:ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string::npos ||
       first == "localhost");
  if (names_registry) return {name};
  const std::size_t end = name.find_first_of(":@");
  const std::string rest = end == std::string::npos ? std::string() : name.substr(end);
  const auto alias = conf.aliases.find(name.substr(0, end));
  if (alias != conf.aliases.end()) return {alias->second + rest};
  if (conf.search_registries.empty()) return {name};
  std::vector<std::string> names;
  for (const std::string& registry : conf.search_registries) {
    const bool is_official = registry == "docker.io" && slash == std::string::npos;
    names.push_back(registry + (is_official ? "/library/" : "/") + name);
  }
  return names;
}

}  // namespace registry
