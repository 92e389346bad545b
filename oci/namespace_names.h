// The specification's names of namespaces: for this folder's runtime spec parser and renderer only.
#pragma once

#include <array>
#include <string_view>
#include <utility>

#include "oci/runtime_spec.h"

namespace oci {

inline constexpr std::array<std::pair<std::string_view, NamespaceType>, 8> kNamespaceNames = {{
    {"mount", NamespaceType::kMount},
    {"pid", NamespaceType::kPid},
    {"network", NamespaceType::kNetwork},
    {"ipc", NamespaceType::kIpc},
    {"uts", NamespaceType::kUts},
    {"user", NamespaceType::kUser},
    {"cgroup", NamespaceType::kCgroup},
    {"time", NamespaceType::kTime},
}};

}  // namespace oci
