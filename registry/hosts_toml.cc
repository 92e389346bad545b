#include "registry/hosts_toml.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "base/error.h"
#include "base/text.h"
#include "registry/config_line.h"

namespace registry {
namespace {

std::string text_of(const toml::node& node) {
  const auto text = node.value_exact<std::string>();
  if (!text) throw_at_line(node.source().begin.line, "a text is expected");
  return *text;
}

bool flag_of(const toml::node& node) {
  const auto flag = node.value_exact<bool>();
  if (!flag) throw_at_line(node.source().begin.line, "true or false is expected");
  return *flag;
}

// A text or a list of texts.
std::vector<std::string> texts_of(const toml::node& node) {
  const toml::array* list = node.as_array();
  if (list == nullptr) return {text_of(node)};
  std::vector<std::string> texts;
  for (const toml::node& element : *list) texts.push_back(text_of(element));
  return texts;
}

void read_capabilities(const toml::node& node, HostSettings& host) {
  host.can_pull = host.can_resolve = host.can_push = false;
  for (const std::string& word : texts_of(node)) {
    if (word == "pull") {
      host.can_pull = true;
    } else if (word == "resolve") {
      host.can_resolve = true;
    } else if (word == "push") {
      host.can_push = true;
    } else {
      throw_at_line(node.source().begin.line,
                    "unknown capability \"" + base::printable(word) + "\"");
    }
  }
}

// "both.pem", ["a.pem", "b.pem"] (each with its key in it) or [["a.cert", "a.key"], …].
void read_clients(const toml::node& node, const ReadFile& read, TlsSettings& tls) {
  const auto add = [&](const std::string& certificate, const std::string& key) {
    tls.clients.push_back({.certificate = read(certificate), .key = read(key)});
  };
  const toml::array* list = node.as_array();
  if (list == nullptr) return add(text_of(node), text_of(node));
  for (const toml::node& element : *list) {
    const auto names = texts_of(element);
    if (names.empty() || names.size() > 2)
      throw_at_line(element.source().begin.line, "a certificate and its key are expected");
    add(names.front(), names.back());
  }
}

void read_headers(const toml::node& node, HostSettings& host) {
  const toml::table* table = node.as_table();
  if (table == nullptr) throw_at_line(node.source().begin.line, "a table of headers is expected");
  for (const auto& [name, values] : *table) {
    for (const std::string& value : texts_of(values)) {
      host.headers.push_back(std::string(name.str()) + ": " + value);
    }
  }
}

// Go's durations, as far as a time-out needs them: "500ms", "3s", "1m"; a number is nanoseconds.
int milliseconds_of(const toml::node& node) {
  if (const auto number = node.value_exact<std::int64_t>()) {
    return static_cast<int>(std::clamp<std::int64_t>(*number / 1'000'000, 0, 600'000));
  }
  const std::string text = text_of(node);
  double number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string unit(stop, text.data() + text.size());
  const double factor = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : 0;
  if (error != std::errc() || factor == 0 || number < 0)
    throw_at_line(node.source().begin.line, "a duration is expected");
  return static_cast<int>(std::min(number * factor, 600'000.0));
}

void read_host(const toml::table& table, const ReadFile& read, HostSettings& host) {
  for (const auto& [key, value] : table) {
    const std::string_view name = key.str();
    if (name == "capabilities") {
      read_capabilities(value, host);
    } else if (name == "ca") {
      for (const std::string& file : texts_of(value)) host.tls.authorities.push_back(read(file));
    } else if (name == "client") {
      read_clients(value, read, host.tls);
    } else if (name == "skip_verify") {
      host.tls.skip_verify = flag_of(value);
    } else if (name == "header") {
      read_headers(value, host);
    } else if (name == "override_path") {
      host.override_path = flag_of(value);
    } else if (name == "dial_timeout") {
      host.dial_timeout_ms = milliseconds_of(value);
    }  // containerd ignores what it does not know, too
  }
}

std::vector<HostSettings> read_mirrors(const toml::node& node, const ReadFile& read) {
  const toml::table* table = node.as_table();
  if (table == nullptr) throw_at_line(node.source().begin.line, "a table of hosts is expected");
  std::vector<std::pair<toml::source_index, HostSettings>> found;
  for (const auto& [url, settings] : *table) {
    const toml::table* members = settings.as_table();
    if (members == nullptr) throw_at_line(settings.source().begin.line, "a table is expected");
    HostSettings host{.url = std::string(url.str())};
    read_host(*members, read, host);
    found.emplace_back(settings.source().begin.line, std::move(host));
  }
  // The file's order is that in which they are asked; a table is sorted by its keys.
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<HostSettings> mirrors;
  for (auto& [line, host] : found) mirrors.push_back(std::move(host));
  return mirrors;
}

}  // namespace

HostsFile parse_hosts_toml(std::string_view text, const ReadFile& read) {
  try {
    const toml::table root = toml::parse(text);
    HostsFile file;
    read_host(root, read, file.server);
    if (const toml::node* server = root.get("server")) file.server.url = text_of(*server);
    if (const toml::node* hosts = root.get("host")) file.mirrors = read_mirrors(*hosts, read);
    return file;
  } catch (const toml::parse_error& error) {
    throw_at_line(error.source().begin.line, base::printable(error.description()));
  }
}

}  // namespace registry
