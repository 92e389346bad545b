// Short names: what a name without a registry stands for, as registries.conf says.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "oci/reference.h"

namespace cli {

// In the order in which they are to be tried; docker.io's where no file says anything else. Throws
// kInvalid where one of them is no name.
std::vector<oci::Reference> expand_name(const std::string& name);

// Their repositories, for RegistryAccess.
std::vector<std::string> repositories_of(const std::vector<oci::Reference>& names);

// `action` with each in turn until it does not throw; what it throws once it has set the flag,
// which says that the name exists, is final. Throws one error that tells what was tried.
void try_names(const std::string& asked, const std::vector<oci::Reference>& names,
               const std::function<void(const oci::Reference&, bool& is_found)>& action);

}  // namespace cli
