#include "oci/platform.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <sys/utsname.h>

#include "base/error.h"
#include "base/letter_case.h"
#include "base/text.h"

namespace oci {
namespace {

constexpr std::array<std::string_view, 16> kSystems = {
    "aix", "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios",
    "js",  "linux",   "netbsd", "openbsd",   "plan9",   "solaris", "wasip1",  "windows"};
constexpr std::array<std::string_view, 17> kArchitectures = {
    "386",   "amd64",   "arm", "arm64",   "loong64", "mips",    "mipsle", "mips64", "mips64le",
    "ppc64", "ppc64le", "ppc", "riscv64", "s390x",   "sparc64", "wasm",   "riscv"};

template <class List>
bool has(const List& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-';
  });
}

[[noreturn]] void refuse(std::string_view text, const std::string& reason) {
  throw base::Error(base::ErrorKind::kInvalid,
                    "invalid platform \"" + base::printable(text, 80) + "\": " + reason);
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words;
  for (;;) {
    const std::size_t slash = text.find('/');
    words.emplace_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return words;
    text.remove_prefix(slash + 1);
  }
}

struct Version {
  int major = 0, minor = 0;
};

// "v9.2", "v8"; nullopt for any other word.
std::optional<Version> find_version(std::string_view variant) {
  if (!variant.starts_with('v')) return std::nullopt;
  const char* const end = variant.data() + variant.size();
  Version version;
  auto [at, error] = std::from_chars(variant.data() + 1, end, version.major);
  if (error != std::errc()) return std::nullopt;
  if (at == end) return version;
  if (*at != '.') return std::nullopt;
  auto [rest, minor_error] = std::from_chars(at + 1, end, version.minor);
  if (minor_error != std::errc() || rest != end) return std::nullopt;
  return version;
}

std::string variant_of(int major, int minor = 0) {
  return "v" + std::to_string(major) + (minor > 0 ? "." + std::to_string(minor) : "");
}

// Collects what a host can run, each normalised.
struct Preferences {
  std::string os;
  std::vector<Platform> list;

  void add(const std::string& architecture, const std::string& variant) {
    list.push_back(normalize({.os = os, .architecture = architecture, .variant = variant}));
  }
  void add_arm(int newest) {
    for (int version = newest; version >= 5; --version) add("arm", variant_of(version));
  }
  // The lower ones of v8.x and v9.x. Armv9.N includes Armv8.(N+5), up to Armv8.9.
  void add_arm64_below(Version version) {
    if (version.major == 9) {
      for (int minor = version.minor - 1; minor >= 0; --minor) add("arm64", variant_of(9, minor));
      version = {.major = 8, .minor = std::min(version.minor + 5, 9) + 1};
    }
    for (int minor = version.minor - 1; minor >= 0; --minor) add("arm64", variant_of(8, minor));
  }
};

constexpr int kHighestVersion = 99;  // of a variant from outside: bounds the list

}  // namespace

Platform normalize(Platform platform) {
  platform.os = base::lower_case(platform.os);
  if (platform.os.empty()) platform.os = "linux";
  if (platform.os == "macos") platform.os = "darwin";
  std::string& architecture = platform.architecture;
  std::string& variant = platform.variant;
  architecture = base::lower_case(architecture);
  variant = base::lower_case(variant);
  if (architecture == "i386") architecture = "386";
  if (architecture == "x86_64" || architecture == "x86-64") architecture = "amd64";
  if (architecture == "aarch64") architecture = "arm64";
  if (architecture == "armhf" || architecture == "armel") {
    variant = architecture == "armhf" ? "v7" : "v6";
    architecture = "arm";
  }
  if (architecture == "386") variant.clear();
  if (architecture == "amd64" && variant == "v1") variant.clear();
  if (architecture == "arm64") {
    if (variant == "8" || variant == "v8" || variant == "v8.0") variant.clear();
    if (variant == "9" || variant == "v9.0") variant = "v9";
  }
  if (architecture == "arm") {
    if (variant.empty()) variant = "v7";
    if (variant.size() == 1 && variant[0] >= '5' && variant[0] <= '8') variant = "v" + variant;
  }
  return platform;
}

Platform Platform::parse(std::string_view text) {
  const std::vector<std::string> words = split(text);
  if (words.size() > 3) refuse(text, "must be OS/ARCHITECTURE[/VARIANT]");
  if (!std::all_of(words.begin(), words.end(), is_word)) refuse(text, "malformed");
  if (words.size() == 3) {
    return normalize({.os = words[0], .architecture = words[1], .variant = words[2]});
  }
  if (words.size() == 2)
    return normalize({.os = words[0], .architecture = words[1], .variant = ""});

  const Platform host = of_host();
  if (const std::string os = base::lower_case(words[0]); os == "macos" || has(kSystems, os)) {
    return normalize({.os = os, .architecture = host.architecture, .variant = host.variant});
  }
  Platform platform = normalize({.os = host.os, .architecture = words[0], .variant = ""});
  if (!has(kArchitectures, platform.architecture)) {
    refuse(text, "neither an operating system nor an architecture");
  }
  return platform;
}

Platform Platform::of_host() {
  utsname name = {};
  base::check(uname(&name), "uname");
  const std::string_view machine = static_cast<const char*>(name.machine);
  Platform platform{.os = "linux", .architecture = std::string(machine), .variant = ""};
  if (machine.size() == 4 && machine.starts_with('i') && machine.ends_with("86")) {
    platform.architecture = "386";
  } else if (machine.starts_with("armv") && machine.size() > 4) {
    platform.architecture = "arm";
    platform.variant = "v" + std::string(machine.substr(4, 1));
  } else if (machine == "loongarch64") {
    platform.architecture = "loong64";
  }
  return normalize(platform);
}

std::string Platform::str() const {
  return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

std::vector<Platform> preferences_of(const Platform& host) {
  const Platform best = normalize(host);
  Preferences preferences{.os = best.os, .list = {best}};
  const bool is_arm64 = best.architecture == "arm64";
  auto version = find_version(best.variant.empty() && is_arm64 ? "v8" : best.variant);
  if (version && (version->major > kHighestVersion || version->minor > kHighestVersion)) {
    version.reset();
  }
  if (best.architecture == "amd64") {
    for (int level = version ? version->major - 1 : 0; level >= 1; --level) {
      preferences.add("amd64", variant_of(level));
    }
    preferences.add("386", "");
  } else if (best.architecture == "arm" && version) {
    preferences.add_arm(version->major - 1);
  } else if (is_arm64 && version) {
    preferences.add_arm64_below(*version);
    preferences.add_arm(8);
  }
  return preferences.list;
}

}  // namespace oci
