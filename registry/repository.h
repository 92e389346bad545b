// Repository: one repository at one registry, as requests need it.
#pragma once

#include <string>

#include "oci/reference.h"

namespace registry {

struct Repository {
  std::string domain;    // "docker.io": names the credentials
  std::string api_host;  // "registry-1.docker.io": gets the requests
  std::string path;      // "library/alpine"

  // The registry itself: an empty path.
  static Repository whole(const std::string& domain) {
    return {.domain = domain,
            .api_host = domain == "docker.io" ? "registry-1.docker.io" : domain,
            .path = {}};
  }
  static Repository of(const oci::Reference& reference) {
    return {
        .domain = reference.domain(), .api_host = reference.api_host(), .path = reference.path()};
  }
};

}  // namespace registry
