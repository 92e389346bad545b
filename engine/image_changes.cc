#include "engine/image_changes.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/letter_case.h"
#include "base/text.h"
#include "engine/bridge_network.h"
#include "engine/mount_plan.h"
#include "engine/process_plan.h"

namespace engine {
namespace {

using Words = std::vector<std::string>;

[[noreturn]] void refuse(const std::string& text) {
  throw base::Error(base::ErrorKind::kInvalid, text);
}

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string trim(const std::string& text) {
  const auto first = std::find_if_not(text.begin(), text.end(), is_space);
  const auto last = std::find_if_not(text.rbegin(), text.rend(), is_space).base();
  return first < last ? std::string(first, last) : std::string();
}

// A Dockerfile's words: quotes hold spaces together, a backslash takes the next character as it is
// but within '…'.
Words split_words(const std::string& text) {
  Words words;
  std::string word;
  bool open = false;
  char quote = '\0';
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == '\0' && is_space(c)) {
      if (open) words.push_back(std::exchange(word, {}));
      open = false;
      continue;
    }
    open = true;
    if (c == '\\' && quote != '\'' && i + 1 < text.size()) {
      word += text[++i];
    } else if (quote == '\0' && (c == '"' || c == '\'')) {
      quote = c;
    } else if (c == quote) {
      quote = '\0';
    } else {
      word += c;
    }
  }
  if (quote != '\0') refuse("unexpected end of statement while looking for matching quote");
  if (open) words.push_back(std::move(word));
  return words;
}

// A JSON array of texts; nullopt where it is none.
std::optional<Words> find_array(const std::string& text) {
  if (!text.starts_with('[')) return std::nullopt;
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_array()) return std::nullopt;
  Words words;
  for (const auto& item : json) {
    if (!item.is_string()) return std::nullopt;
    words.push_back(item.get<std::string>());
  }
  return words;
}

// An array as given; anything else is a line for the shell.
Words command_words(const std::string& text, const oci::ImageConfig& config) {
  if (auto array = find_array(text)) return *array;
  if (text.empty()) return {};
  Words words = config.shell.empty() ? Words{"/bin/sh", "-c"} : config.shell;
  words.push_back(text);
  return words;
}

// "A=b C=d", or with a single pair "A b c".
std::vector<std::pair<std::string, std::string>> parse_pairs(const std::string& name,
                                                             const std::string& text) {
  const Words words = split_words(text);
  if (words.empty()) refuse(name + " requires at least one argument");
  if (words[0].find('=') == std::string::npos) {
    const std::size_t end =
        static_cast<std::size_t>(std::find_if(text.begin(), text.end(), is_space) - text.begin());
    const std::string value = trim(text.substr(end));
    if (value.empty()) refuse(name + " must have two arguments");
    return {{text.substr(0, end), value}};
  }
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) {
      refuse("Syntax error - can't find = in \"" + base::printable(word) +
             "\". Must be of the form: name=value");
    }
    if (equals == 0) refuse(name + " names can not be blank");
    pairs.emplace_back(word.substr(0, equals), word.substr(equals + 1));
  }
  return pairs;
}

std::uint16_t parse_port_number(const std::string& text, const std::string& whole) {
  std::uint16_t port = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || at != text.data() + text.size()) {
    refuse("Invalid containerPort: " + base::printable(whole));
  }
  return port;
}

void append(std::vector<std::string>& list, const std::vector<std::string>& more) {
  list.insert(list.end(), more.begin(), more.end());
}

void make_set(std::vector<std::string>& names) {
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
}

void set_environment(const std::string& text, oci::ImageConfig& config) {
  Words entries;
  for (const auto& [name, value] : parse_pairs("ENV", text)) entries.push_back(name + "=" + value);
  config.env = merge_environment(std::move(config.env), entries);
}

void set_working_dir(const std::string& text, oci::ImageConfig& config) {
  if (text.empty()) refuse("WORKDIR requires exactly one argument");
  const std::string base = config.working_dir.empty() ? "/" : config.working_dir;
  const std::string path = text[0] == '/' ? text : base + "/" + text;
  config.working_dir = std::filesystem::path(path).lexically_normal().string();
  if (config.working_dir.size() > 1 && config.working_dir.back() == '/') {
    config.working_dir.pop_back();
  }
}

void add_volumes(const std::string& text, oci::ImageConfig& config) {
  const Words volumes = find_array(text).value_or(split_words(text));
  if (volumes.empty()) refuse("VOLUME requires at least one argument");
  for (const std::string& volume : volumes) {
    if (trim(volume).empty()) refuse("VOLUME specified can not be an empty string");
    config.volumes.push_back(trim(volume));
  }
  make_set(config.volumes);
}

void add_on_build(const std::string& text, oci::ImageConfig& config) {
  if (text.empty()) refuse("ONBUILD requires at least one argument");
  const std::string word = base::upper_case(text.substr(0, text.find_first_of(" \t")));
  if (word == "ONBUILD") refuse("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (word == "FROM" || word == "MAINTAINER") {
    refuse(word + " isn't allowed as an ONBUILD trigger");
  }
  config.on_build.push_back(text);
}

}  // namespace

void apply_change(const std::string& instruction, oci::ImageConfig& config) {
  const std::string line = trim(instruction);
  const std::size_t end = std::min(line.find_first_of(" \t\n"), line.size());
  const std::string name = base::upper_case(line.substr(0, end));
  const std::string text = trim(line.substr(end));
  if (name == "CMD") {
    config.cmd = command_words(text, config);
  } else if (name == "ENTRYPOINT") {
    config.entrypoint = command_words(text, config);
  } else if (name == "ENV") {
    set_environment(text, config);
  } else if (name == "LABEL") {
    for (const auto& [key, value] : parse_pairs("LABEL", text)) config.labels[key] = value;
  } else if (name == "EXPOSE") {
    const Words words = split_words(text);
    if (words.empty()) refuse("EXPOSE requires at least one argument");
    for (const std::string& word : words) append(config.exposed_ports, parse_exposed_ports(word));
    make_set(config.exposed_ports);
  } else if (name == "ONBUILD") {
    add_on_build(text, config);
  } else if (name == "USER") {
    if (split_words(text).size() != 1) refuse("USER requires exactly one argument");
    config.user = split_words(text)[0];
  } else if (name == "VOLUME") {
    add_volumes(text, config);
  } else if (name == "WORKDIR") {
    set_working_dir(text, config);
  } else {
    refuse(base::printable(base::lower_case(name)) + " is not a valid change command");
  }
}

std::vector<std::string> parse_exposed_ports(const std::string& text) {
  const std::size_t slash = text.find('/');
  const std::string protocol =
      slash == std::string::npos ? "tcp" : base::lower_case(text.substr(slash + 1));
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
    refuse("Invalid proto: " + base::printable(protocol));
  }
  const std::string range = text.substr(0, slash);
  const std::size_t dash = range.find('-');
  const int first = parse_port_number(range.substr(0, dash), range);
  const int last =
      dash == std::string::npos ? first : parse_port_number(range.substr(dash + 1), range);
  if (last < first) refuse("Invalid containerPort: " + base::printable(range));
  std::vector<std::string> ports;
  for (int port = first; port <= last; ++port) {
    ports.push_back(std::to_string(port) + "/" + protocol);
  }
  return ports;
}

oci::ImageConfig config_of_container(oci::ImageConfig image, const ContainerOptions& options) {
  if (options.entrypoint) {
    image.entrypoint = *options.entrypoint;
    image.cmd.clear();  // made void by the user's entrypoint
  }
  if (!options.command.empty()) image.cmd = options.command;
  image.env = merge_environment(std::move(image.env), options.env);
  // What only takes a variable away has no words in an image.
  std::erase_if(image.env,
                [](const std::string& entry) { return entry.find('=') == std::string::npos; });
  if (!options.user.empty()) image.user = options.user;
  if (!options.working_dir.empty()) image.working_dir = options.working_dir;
  if (!options.stop_signal.empty()) image.stop_signal = options.stop_signal;
  append(image.exposed_ports, options.exposed_ports);
  for (const PortOption& port : options.ports) {
    image.exposed_ports.push_back(std::to_string(port.container_port) + "/" +
                                  protocol_name(port.protocol));
  }
  make_set(image.exposed_ports);
  for (const MountOption& mount : options.mounts) {
    if (mount.kind == MountOption::Kind::kVolume && mount.source.size() == 64) {
      image.volumes.push_back(clean_destination(mount.target));
    }
  }
  make_set(image.volumes);
  for (const auto& [key, value] : options.labels) image.labels[key] = value;
  return image;
}

}  // namespace engine
