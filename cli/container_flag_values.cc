#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "cli/container_flags.h"

namespace cli {
namespace {

[[noreturn]] void invalid(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

struct PortRange {
  int first = 0, last = 0;
  int count() const { return last - first + 1; }
};

PortRange parse_range(const std::string& what, const std::string& text) {
  const std::size_t dash = text.find('-');
  const auto number = [&](const std::string& part) {
    int value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (part.empty() || error != std::errc() || end != part.data() + part.size() || value < 0 ||
        value > 65535) {
      invalid("invalid " + what + ": " + text);
    }
    return value;
  };
  PortRange range;
  range.first = number(text.substr(0, dash));
  range.last = dash == std::string::npos ? range.first : number(text.substr(dash + 1));
  if (range.last < range.first) invalid("invalid " + what + ": " + text);
  return range;
}

network::Protocol parse_protocol(const std::string& text) {
  if (text == "tcp") return network::Protocol::kTcp;
  if (text == "udp") return network::Protocol::kUdp;
  if (text == "sctp") return network::Protocol::kSctp;
  invalid("invalid proto: " + text);
}

}  // namespace

std::vector<std::string> split_text(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t at = 0; (at = text.find(separator, start)) != std::string::npos;
       start = at + 1) {
    parts.push_back(text.substr(start, at - start));
  }
  parts.push_back(text.substr(start));
  return parts;
}

std::vector<std::string> parse_entrypoint(const std::string& text) {
  if (text.empty()) return {};
  if (text.starts_with('[')) {
    const auto list = nlohmann::json::parse(text, nullptr, false);
    const auto is_text = [](const nlohmann::json& word) { return word.is_string(); };
    if (list.is_array() && !list.empty() && std::all_of(list.begin(), list.end(), is_text)) {
      return list.get<std::vector<std::string>>();
    }
  }
  return {text};
}

std::vector<engine::PortOption> parse_ports(const std::string& text) {
  const std::size_t slash = text.find('/');
  const network::Protocol protocol =
      parse_protocol(slash == std::string::npos ? "tcp" : text.substr(slash + 1));
  std::string rest = text.substr(0, slash);
  const std::size_t last = rest.rfind(':');
  const std::string container_text = last == std::string::npos ? rest : rest.substr(last + 1);
  std::string host_text;
  std::string address;
  if (last != std::string::npos) {
    rest.resize(last);
    const std::size_t colon = rest.rfind(':');
    const bool has_address = colon != std::string::npos;
    host_text = has_address ? rest.substr(colon + 1) : rest;
    if (has_address) {
      const std::string text_of = rest.substr(0, colon);
      if (text_of.find(':') != std::string::npos && text_of.front() != '[') {
        invalid("invalid IP address: " + text_of + ": an IPv6 address stands in [brackets]");
      }
      address = network::IpAddress::parse(text_of).str();
    } else if (rest.find('.') != std::string::npos) {
      invalid("invalid hostPort: " + rest);
    }
  }
  if (container_text.empty()) invalid("no port specified: " + text + "<empty>");
  const PortRange container = parse_range("containerPort", container_text);
  if (container.first == 0) invalid("invalid containerPort: " + container_text);
  const PortRange host = host_text.empty() ? PortRange{} : parse_range("hostPort", host_text);
  const bool is_fixed = !host_text.empty() && host.first != 0;
  if (is_fixed && host.count() != container.count() && container.count() != 1) {
    invalid("invalid ranges specified for container and host Ports: " + container_text + " and " +
            host_text);
  }
  std::vector<engine::PortOption> ports;
  for (int i = 0; i < container.count(); ++i) {
    ports.push_back({.host_address = address,
                     .host_port = static_cast<std::uint16_t>(is_fixed ? host.first + i : 0),
                     .container_port = static_cast<std::uint16_t>(container.first + i),
                     .protocol = protocol});
    // Any one of the range for a single port.
    if (is_fixed && host.count() != container.count()) {
      ports.back().host_port_last = static_cast<std::uint16_t>(host.last);
    }
  }
  return ports;
}

oci::Rlimit parse_ulimit(const std::string& text) {
  static const std::string_view kNames[] = {
      "as",   "core",   "cpu",   "data", "fsize",  "locks",  "memlock",    "msgqueue",
      "nice", "nofile", "nproc", "rss",  "rtprio", "rttime", "sigpending", "stack"};
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  if (equals == std::string::npos) invalid("invalid ulimit argument: " + text);
  if (std::find(std::begin(kNames), std::end(kNames), name) == std::end(kNames)) {
    invalid("invalid ulimit type: " + name);
  }
  const std::vector<std::string> parts = split_text(text.substr(equals + 1), ':');
  const auto number = [&](const std::string& part) {
    if (part == "-1" || part == "unlimited") return ~std::uint64_t{0};
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (part.empty() || error != std::errc() || end != part.data() + part.size())
      invalid("invalid ulimit argument: " + text);
    return value;
  };
  if (parts.size() > 2) invalid("too many limit value arguments - " + text);
  oci::Rlimit limit;
  limit.type = "RLIMIT_";
  for (const char c : name)
    limit.type.push_back(static_cast<char>(std::toupper(static_cast<unsigned char>(c))));
  limit.soft = number(parts[0]);
  limit.hard = parts.size() == 2 ? number(parts[1]) : limit.soft;
  if (limit.soft > limit.hard) {
    invalid("ulimit soft limit must be less than or equal to hard limit: " + parts[0] + " > " +
            parts[1]);
  }
  return limit;
}

std::vector<std::string> read_env_file(const std::string& path) {
  constexpr std::size_t kLimit = 4U << 20U;
  std::vector<std::string> entries;
  for (std::string line :
       split_text(base::while_doing("open env file", [&] { return base::read_file(path, kLimit); }),
                  '\n')) {
    if (entries.empty() && line.rfind("\xEF\xBB\xBF", 0) == 0)
      line.erase(0, 3);  // a byte order mark
    line.erase(0, line.find_first_not_of(" \t\r"));
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || line[0] == '#') continue;
    const std::string name = line.substr(0, line.find('='));
    if (name.find_first_of(" \t") != std::string::npos) {
      invalid("invalid env file (" + path + "): variable '" + name + "' contains whitespaces");
    }
    if (name.empty())
      invalid("invalid env file (" + path + "): no variable name on line '" + line + "'");
    entries.push_back(line);
  }
  return resolve_env(entries);
}

std::vector<std::string> resolve_env(const std::vector<std::string>& entries) {
  std::vector<std::string> resolved;
  for (const std::string& entry : entries) {
    if (entry.empty() || entry[0] == '=') invalid("invalid environment variable: " + entry);
    if (entry.find('=') != std::string::npos) {
      resolved.push_back(entry);
    } else if (const char* value = std::getenv(entry.c_str())) {
      resolved.push_back(entry + "=" + value);
    }
  }
  return resolved;
}

}  // namespace cli
