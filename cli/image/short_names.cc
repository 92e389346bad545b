#include "cli/image/short_names.h"

#include <optional>

#include "base/error.h"
#include "registry/config_files.h"
#include "registry/registries_conf.h"

namespace cli {

std::vector<oci::Reference> expand_name(const std::string& name) {
  // First as it is: what is no name at all must not become one.
  const auto plain = oci::Reference::parse(name);
  const auto config = registry::load_registry_config(registry::default_config_paths());
  const auto texts = registry::expand_short_name(config.registries, name);
  if (texts == std::vector{name}) return {plain};
  return base::while_doing("registries.conf", [&] {
    std::vector<oci::Reference> names;
    for (const std::string& text : texts) names.push_back(oci::Reference::parse(text));
    return names;
  });
}

std::vector<std::string> repositories_of(const std::vector<oci::Reference>& names) {
  std::vector<std::string> repositories;
  for (const oci::Reference& name : names) repositories.push_back(name.repository());
  return repositories;
}

void try_names(const std::string& asked, const std::vector<oci::Reference>& names,
               const std::function<void(const oci::Reference&, bool& is_found)>& action) {
  std::string failures;
  std::optional<base::ErrorKind> kind;  // the first that says more than "not there"
  for (const oci::Reference& name : names) {
    bool is_found = false;
    try {
      return action(name, is_found);
    } catch (const base::Error& error) {
      if (is_found || names.size() == 1) throw;
      if (!kind || *kind == base::ErrorKind::kNotFound) kind = error.kind();
      failures += (failures.empty() ? "" : "; ") + name.str() + ": " + error.what();
    }
  }
  throw base::Error(kind.value_or(base::ErrorKind::kNotFound),
                    asked + ": none of its registries (registries.conf) has it: " + failures);
}

}  // namespace cli
