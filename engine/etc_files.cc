#include "engine/etc_files.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "base/error.h"

namespace engine {
namespace {

constexpr char kDefaultHosts[] =
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\n"
    "ff00::0\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n";

std::string join(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) line += (line.empty() ? "" : " ") + word;
  return line;
}

std::vector<std::string> split_words(const std::string& line) {
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

bool is_loopback(const std::string& address) {
  return address.starts_with("127.") || address == "::1" || address.starts_with("::1%");
}

struct Resolver {
  std::vector<std::string> nameservers, search, options;
};

Resolver read_resolver(std::string_view file, bool keep_loopback) {
  Resolver resolver;
  std::istringstream lines{std::string(file)};
  for (std::string line; std::getline(lines, line);) {
    std::vector<std::string> words = split_words(line.substr(0, line.find_first_of("#;")));
    if (words.size() < 2) continue;
    const std::string keyword = words.front();
    words.erase(words.begin());
    if (keyword == "nameserver") {
      if (keep_loopback || !is_loopback(words.front())) {
        resolver.nameservers.push_back(words.front());
      }
    } else if (keyword == "search" || keyword == "domain") {
      resolver.search = words;  // the last one counts: resolv.conf(5)
    } else if (keyword == "options") {
      resolver.options.insert(resolver.options.end(), words.begin(), words.end());
    }
  }
  return resolver;
}

void apply_options(Resolver& resolver, const ContainerOptions& options) {
  if (!options.dns_options.empty()) resolver.options = options.dns_options;
  if (!options.dns_search.empty()) resolver.search = options.dns_search;
  if (resolver.search.size() == 1 && resolver.search.front() == ".") resolver.search.clear();
}

std::string render(const Resolver& resolver) {
  std::string text;
  for (const std::string& server : resolver.nameservers) text += "nameserver " + server + "\n";
  if (!resolver.search.empty()) text += "search " + join(resolver.search) + "\n";
  if (!resolver.options.empty()) text += "options " + join(resolver.options) + "\n";
  return text;
}

// "name:address" or "name=address"; the address may hold colons.
std::string render_extra_host(const std::string& entry, const std::string& gateway) {
  const std::size_t split = entry.find_first_of(":=");
  if (split == std::string::npos || split == 0 || split + 1 == entry.size()) {
    throw base::Error(base::ErrorKind::kInvalid, "bad format for add-host: \"" + entry + "\"");
  }
  const std::string name = entry.substr(0, split);
  std::string address = entry.substr(split + 1);
  if (address.front() == '[' && address.back() == ']')
    address = address.substr(1, address.size() - 2);
  if (address == "host-gateway") {
    if (gateway.empty()) {
      throw base::Error(
          base::ErrorKind::kInvalid,
          "unable to derive the IP value for host-gateway: the container has no bridge");
    }
    address = gateway;
  }
  return address + "\t" + name + "\n";
}

}  // namespace

std::string render_hosts(const ContainerOptions& options, const HostsInput& input) {
  std::string text = kDefaultHosts;
  if (options.network == NetworkMode::kHost && !input.host_file.empty()) {
    text = input.host_file;
    if (text.back() != '\n') text += '\n';
  }
  for (const std::string& entry : options.extra_hosts) {
    text += render_extra_host(entry, input.host_gateway);
  }
  for (const std::string& line : input.links) text += line + "\n";
  for (const std::string& address : input.addresses) {
    text += address + "\t";
    if (!input.domainname.empty()) text += input.hostname + "." + input.domainname + " ";
    text += input.hostname + "\n";
  }
  return text;
}

std::string render_resolv_conf(const ContainerOptions& options, std::string_view host_file) {
  const bool host_network = options.network == NetworkMode::kHost;
  const bool untouched =
      options.dns.empty() && options.dns_search.empty() && options.dns_options.empty();
  if (host_network && untouched && !host_file.empty()) return std::string(host_file);

  Resolver resolver = read_resolver(host_file, host_network);
  if (!options.dns.empty()) resolver.nameservers = options.dns;
  apply_options(resolver, options);
  if (resolver.nameservers.empty()) resolver.nameservers = {"8.8.8.8", "8.8.4.4"};
  return render(resolver);
}

std::string render_own_resolv_conf(const ContainerOptions& options, std::string_view host_file) {
  Resolver resolver = read_resolver(host_file, true);
  apply_options(resolver, options);
  resolver.nameservers = {kNameServer};
  // A name without a dot is a container's: it is asked for as it is.
  const bool has_ndots = std::any_of(resolver.options.begin(), resolver.options.end(),
                                     [](const auto& text) { return text.starts_with("ndots:"); });
  if (!has_ndots) resolver.options.emplace_back("ndots:0");
  return render(resolver);
}

std::vector<std::string> upstream_servers(const ContainerOptions& options,
                                          std::string_view host_file) {
  if (!options.dns.empty()) return options.dns;
  return read_resolver(host_file, true).nameservers;
}

}  // namespace engine
