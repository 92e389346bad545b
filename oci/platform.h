// Platform: operating system, architecture and variant, normalised as containerd's platforms
// package does.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace oci {

struct Platform {
  std::string os = "linux";
  std::string architecture;  // "amd64", "arm64"
  std::string variant;       // "v7"; empty where the default

  static Platform parse(std::string_view text);  // "linux/arm/v7", "arm64"; throws kInvalid
  static Platform of_host();                     // from uname(2)
  std::string str() const;
  friend bool operator==(const Platform&, const Platform&) = default;
};

Platform normalize(Platform platform);
// What a host of this platform can run, best first: arm/v7, arm/v6, arm/v5; amd64 then 386.
std::vector<Platform> preferences_of(const Platform& host);

}  // namespace oci
