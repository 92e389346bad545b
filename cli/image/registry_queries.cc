// sampan-image tags, search and manifest: what a registry says about what it has.
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "cli/image/image_commands.h"
#include "cli/image/registry_access.h"
#include "cli/image/registry_arguments.h"
#include "cli/image/short_names.h"
#include "cli/image/system_calls.h"
#include "oci/manifest.h"

namespace cli {
namespace {

struct QueryArguments {
  RegistryArguments common;
  std::string subject;  // a reference, or a registry
  std::string term;
  std::size_t limit = 25;
  bool verbose = false, referrers = false;
  std::string artifact_type;
};

void list_tags(const QueryArguments& arguments, EventWriter& events) {
  const auto names = expand_name(arguments.subject);
  RegistryAccess access(make_setup(arguments.common, events), repositories_of(names));
  restrict_system_calls();
  try_names(arguments.subject, names, [&](const oci::Reference& name, bool&) {
    const auto tags = base::while_doing("tags of " + name.familiar_repository(),
                                        [&] { return access.client().list_tags(name); });
    events.send_result({{"name", name.repository()}, {"tags", tags}});
  });
}

void search(const QueryArguments& arguments, EventWriter& events) {
  RegistryAccess access(make_setup(arguments.common, events), {arguments.subject});
  restrict_system_calls();
  const auto names = base::while_doing("catalogue of " + arguments.subject, [&] {
    return access.client().list_repositories(arguments.subject, arguments.term, arguments.limit);
  });
  events.send_result({{"repositories", names}});
}

// One manifest with where it is and, with `verbose`, what docker shows beside it.
nlohmann::ordered_json describe(const oci::Reference& name, const registry::RawManifest& manifest,
                                const nlohmann::ordered_json& platform) {
  nlohmann::ordered_json entry = {{"reference", name.str()},
                                  {"mediaType", manifest.media_type},
                                  {"digest", manifest.digest.str()},
                                  {"size", manifest.bytes.size()},
                                  {"content", manifest.bytes}};
  if (!platform.is_null()) entry["platform"] = platform;
  return entry;
}

nlohmann::ordered_json platform_json(const oci::Platform& platform) {
  nlohmann::ordered_json json = {{"architecture", platform.architecture}, {"os", platform.os}};
  if (!platform.variant.empty()) json["variant"] = platform.variant;
  return json;
}

// docker tells the platform of a single manifest from its config.
nlohmann::ordered_json platform_of_config(registry::RemoteClient& client,
                                          const oci::Reference& name,
                                          const oci::Manifest& manifest) {
  if (!oci::is_runnable_config(manifest.config.media_type)) return {};
  const std::string config = client.fetch_small_blob(name, manifest.config, oci::kMaxConfigBytes);
  const auto json = nlohmann::ordered_json::parse(config, nullptr, false);
  if (!json.is_object()) return {};
  return {{"architecture", json.value("architecture", "")}, {"os", json.value("os", "")}};
}

nlohmann::ordered_json inspect_manifest(registry::RemoteClient& client, const oci::Reference& name,
                                        bool verbose) {
  const registry::RawManifest top = client.fetch_manifest(name);
  auto list = nlohmann::ordered_json::array();
  if (!verbose) {
    list.push_back(describe(name, top, {}));
    return list;
  }
  const auto content = oci::parse_manifest(top.bytes, top.media_type);
  if (const auto* manifest = std::get_if<oci::Manifest>(&content)) {
    list.push_back(describe(name, top, platform_of_config(client, name, *manifest)));
    return list;
  }
  for (const oci::Descriptor& entry : std::get<oci::Index>(content).manifests) {
    const auto child = name.with_digest(entry.digest);
    list.push_back(
        describe(child, client.fetch_manifest(child),
                 entry.platform ? platform_json(*entry.platform) : nlohmann::ordered_json()));
  }
  return list;
}

void inspect(const QueryArguments& arguments, EventWriter& events) {
  const auto names = expand_name(arguments.subject);
  RegistryAccess access(make_setup(arguments.common, events), repositories_of(names));
  restrict_system_calls();
  registry::RemoteClient& client = access.client();
  try_names(arguments.subject, names, [&](const oci::Reference& name, bool&) {
    if (arguments.referrers) {
      events.send_result({{"index", client.list_referrers(name, arguments.artifact_type)}});
    } else {
      events.send_result({{"manifests", inspect_manifest(client, name, arguments.verbose)}});
    }
  });
}

}  // namespace

int run_tags_command(int argc, char** argv, EventWriter& events) {
  QueryArguments arguments;
  return run_registry_command(
      {.name = "tags",
       .summary = "List the tags of a repository",
       .define =
           [&](CLI::App& app) { app.add_option("REPOSITORY", arguments.subject)->required(); },
       .act = [&] { list_tags(arguments, events); }},
      arguments.common, argc, argv);
}

int run_search_command(int argc, char** argv, EventWriter& events) {
  QueryArguments arguments;
  const auto define = [&](CLI::App& app) {
    app.add_option("--term", arguments.term, "A part of the names");
    app.add_option("--limit", arguments.limit, "How many at most");
    app.add_option("REGISTRY", arguments.subject)->required();
  };
  return run_registry_command({.name = "search",
                               .summary = "List the repositories of a registry",
                               .define = define,
                               .act = [&] { search(arguments, events); }},
                              arguments.common, argc, argv);
}

int run_manifest_command(int argc, char** argv, EventWriter& events) {
  QueryArguments arguments;
  const auto define = [&](CLI::App& app) {
    app.add_flag("--verbose", arguments.verbose, "Each manifest of an index, with its descriptor");
    app.add_flag("--referrers", arguments.referrers, "What refers to it, as an index");
    app.add_option("--artifact-type", arguments.artifact_type, "Only referrers of that type");
    app.add_option("REFERENCE", arguments.subject)->required();
  };
  return run_registry_command({.name = "manifest",
                               .summary = "Show a manifest, or what refers to it",
                               .define = define,
                               .act = [&] { inspect(arguments, events); }},
                              arguments.common, argc, argv);
}

}  // namespace cli
