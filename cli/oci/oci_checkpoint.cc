#include "cli/oci/oci_command.h"
namespace cli_oci {
int run_checkpoint(const Globals&, const Words&) {
  throw base::Error(base::ErrorKind::kUnsupported, "checkpoint is not supported yet");
}
int run_restore(const Globals&, const Words&) {
  throw base::Error(base::ErrorKind::kUnsupported, "restore is not supported yet");
}
}  // namespace cli_oci
