// Which systemd --systemd-cgroup asks.
#include <sstream>
#include <unistd.h>

#include "base/files.h"
#include "cli/oci/oci_command.h"

namespace cli_oci {
namespace {

using base::Error;
using base::ErrorKind;

// Whoever is root only in a user namespace has no right to the system's units.
bool is_in_user_namespace() {
  std::istringstream map(base::find_file("/proc/self/uid_map").value_or(""));
  std::uint64_t inside = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  map >> inside >> outside >> count;
  return map && (inside != 0 || outside != 0 || count != 0xffffffffU);
}

// As libsystemd finds a user's bus; see sd_bus_default(3).
std::string user_bus_address() {
  std::string address = variable("DBUS_SESSION_BUS_ADDRESS");
  const std::string directory = variable("XDG_RUNTIME_DIR");
  if (address.empty() && !directory.empty()) address = "unix:path=" + directory + "/bus";
  if (address.empty()) {
    throw Error(ErrorKind::kUnavailable,
                "--systemd-cgroup without root asks the user's systemd: neither "
                "DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR says where");
  }
  return address;
}

}  // namespace

void choose_systemd(const Globals& globals, runtime::CreateOptions& options) {
  if (!globals.systemd_cgroup) return;
  options.systemd_is_users = globals.rootless.value_or(
      geteuid() != 0 || (variable("DBUS_SYSTEM_BUS_ADDRESS").empty() && is_in_user_namespace()));
  options.systemd_bus =
      options.systemd_is_users ? user_bus_address() : variable("DBUS_SYSTEM_BUS_ADDRESS");
}

}  // namespace cli_oci
