#include "engine/cni.h"

#include <sys/mman.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/files.h"
#include "base/process.h"
#include "base/trace.h"
#include "engine/bridge_network.h"
#include "oci/json.h"

namespace engine {
namespace {

using Json = nlohmann::json;

constexpr const char* kPluginFolders[] = {"/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"};
constexpr const char* kPluginPath = "/usr/lib/cni:/opt/cni/bin:/usr/libexec/cni";
constexpr std::size_t kLargestResult = 1U << 20U;

struct Call {
  std::string command;  // "ADD"
  std::string container, interface_name;
  int netns_fd = -1;
};

std::string find_plugin(const std::string& type) {
  if (type.empty() || type.find('/') != std::string::npos) {
    throw base::Error(base::ErrorKind::kInvalid, "CNI: invalid plugin type \"" + type + "\"");
  }
  for (const char* folder : kPluginFolders) {
    const std::string path = std::string(folder) + "/" + type;
    if (access(path.c_str(), X_OK) == 0) return path;
  }
  throw base::Error(base::ErrorKind::kNotFound,
                    "CNI: plugin \"" + type + "\" not found in path " + kPluginPath);
}

base::UniqueFd make_file(const char* name, std::string_view content) {
  base::UniqueFd fd(base::check(memfd_create(name, MFD_CLOEXEC), "memfd_create"));
  base::write_all(fd.get(), content);
  base::check(lseek(fd.get(), 0, SEEK_SET), "lseek");
  return fd;
}

std::string read_back(int fd) {
  base::check(lseek(fd, 0, SEEK_SET), "lseek");
  return base::read_fd(fd, kLargestResult);
}

[[noreturn]] void throw_failure(const std::string& type, const Call& call,
                                const std::string& output) {
  const Json result = Json::parse(output, nullptr, false);
  std::string why = "no reason given";
  if (result.is_object() && result.contains("msg") && result["msg"].is_string()) {
    why = result["msg"].get<std::string>();
    if (result.contains("details") && result["details"].is_string()) {
      const auto details = result["details"].get<std::string>();
      if (!details.empty()) why += ": " + details;
    }
  }
  throw base::Error(base::ErrorKind::kSystem,
                    "CNI: plugin \"" + type + "\" failed (" + call.command + "): " + why);
}

std::string run_plugin(const Json& config, const Call& call) {
  const auto type = config.at("type").get<std::string>();
  const base::TraceStep step("engine", "CNI " + call.command + " " + type);
  const base::UniqueFd in = make_file("cni-config", config.dump());
  const base::UniqueFd out = make_file("cni-result", "");
  base::SpawnOptions options;
  options.program = find_plugin(type);
  options.arguments = {options.program};
  std::string netns;
  if (call.netns_fd >= 0) {
    netns = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(call.netns_fd);
  }
  options.environment = {"CNI_COMMAND=" + call.command,
                         "CNI_CONTAINERID=" + call.container,
                         "CNI_NETNS=" + netns,
                         "CNI_IFNAME=" + call.interface_name,
                         std::string("CNI_PATH=") + kPluginPath,
                         "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  options.descriptors = {{in.get(), 0}, {out.get(), 1}, {-1, 2}};
  const int code = base::wait_for_child(base::spawn(options));
  const std::string output = read_back(out.get());
  if (code != 0) throw_failure(type, call, output);
  return output;
}

Json parse_list(const std::string& text) {
  Json list = oci::parse_json(text);
  if (!list.is_object() || !list.contains("name") || !list["name"].is_string() ||
      !list.contains("plugins") || !list["plugins"].is_array() || list["plugins"].empty()) {
    throw base::Error(base::ErrorKind::kInvalid,
                      "CNI: a configuration list has a name and a list of plugins");
  }
  return list;
}

// As the capability "portMappings" has them; see CONVENTIONS.md beside the specification. An
// address that stands for all of IPv6 has its like of IPv4 beside it, and "" means both there.
Json port_mappings(const network::Endpoint& endpoint) {
  Json mappings = Json::array();
  for (const network::PublishedPort& port : endpoint.ports) {
    const bool anywhere = port.host_address.is_any();
    if (anywhere && port.host_address.is_v6()) continue;
    mappings.push_back({{"hostPort", port.host_port},
                        {"containerPort", port.container_port},
                        {"protocol", protocol_name(port.protocol)},
                        {"hostIP", anywhere ? std::string() : port.host_address.str()}});
  }
  return mappings;
}

// What a plugin reads: its own part, what the list says for all, and what it has asked for.
Json plugin_config(const Json& list, const Json& plugin, const network::Endpoint& endpoint) {
  Json config = plugin;
  config["name"] = list.at("name");
  config["cniVersion"] = list.value("cniVersion", "0.4.0");
  const auto capabilities = plugin.find("capabilities");
  if (capabilities != plugin.end() && capabilities->value("portMappings", false)) {
    config["runtimeConfig"]["portMappings"] = port_mappings(endpoint);
  }
  return config;
}

void read_result(const Json& result, network::Endpoint& endpoint) {
  for (const Json& ip : result.value("ips", Json::array())) {
    const auto text = ip.at("address").get<std::string>();
    const network::IpAddress address = network::IpAddress::parse(text.substr(0, text.find('/')));
    if (address.is_v6()) {
      if (!endpoint.address6) endpoint.address6 = address.v6();
    } else if (endpoint.address.bits == 0) {
      endpoint.address = address.v4();
    }
  }
  for (const Json& link : result.value("interfaces", Json::array())) {
    if (link.value("sandbox", "").empty() || link.value("mac", "").size() != 17) continue;
    endpoint.mac = network::parse_mac(link.at("mac").get<std::string>());
  }
}

Call call_for(const Attachment& attachment, const char* command, int netns_fd) {
  return {.command = command,
          .container = attachment.endpoint.container_id,
          .interface_name = attachment.endpoint.interface_name,
          .netns_fd = netns_fd};
}

template <class Action>
void reading_json(Action action) {
  try {
    action();
  } catch (const Json::exception& error) {
    throw base::Error(base::ErrorKind::kInvalid, std::string("CNI: ") + error.what());
  }
}

}  // namespace

void check_cni(const std::string& text) {
  reading_json([&] {
    const Json list = parse_list(text);
    for (const Json& plugin : list.at("plugins")) {
      find_plugin(plugin.at("type").get<std::string>());
    }
  });
}

void add_cni(Attachment& attachment, int netns_fd) {
  try {
    reading_json([&] {
      const Json list = parse_list(attachment.cni);
      Json previous;
      for (const Json& plugin : list.at("plugins")) {
        Json config = plugin_config(list, plugin, attachment.endpoint);
        if (!previous.is_null()) config["prevResult"] = previous;
        previous = oci::parse_json(run_plugin(config, call_for(attachment, "ADD", netns_fd)));
      }
      read_result(previous, attachment.endpoint);
    });
  } catch (const base::Error&) {
    try {
      delete_cni(attachment, netns_fd);
    } catch (const base::Error& error) {  // the first failure is the one to tell
      base::trace("engine", error.what());
    }
    throw;
  }
}

void delete_cni(const Attachment& attachment, int netns_fd) {
  reading_json([&] {
    const Json list = parse_list(attachment.cni);
    const Json& plugins = list.at("plugins");
    for (auto plugin = plugins.rbegin(); plugin != plugins.rend(); ++plugin) {
      run_plugin(plugin_config(list, *plugin, attachment.endpoint),
                 call_for(attachment, "DEL", netns_fd));
    }
  });
}

}  // namespace engine
