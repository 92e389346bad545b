// The commands of sampan-image, one function and one file each.
#pragma once

#include "cli/image/event_writer.h"

namespace cli {

// `argv[0]` is the command's name. Sends the result; an error is thrown. Wrong arguments: prints
// why and gives an exit code other than 0 and 1.
using ImageCommand = int (*)(int argc, char** argv, EventWriter& events);

// The same for a command that needs a registry: called with all rights; it has to make a
// RegistryAccess (registry_access.h), which gives them up, before it does anything else.
int run_pull_command(int argc, char** argv, EventWriter& events);
int run_commit_command(int argc, char** argv, EventWriter& events);
int run_copy_out_command(int argc, char** argv, EventWriter& events);
int run_copy_in_command(int argc, char** argv, EventWriter& events);
int run_evict_command(int argc, char** argv, EventWriter& events);
int run_check_command(int argc, char** argv, EventWriter& events);

int run_load_command(int argc, char** argv, EventWriter& events);
int run_save_command(int argc, char** argv, EventWriter& events);
int run_import_command(int argc, char** argv, EventWriter& events);
int run_export_command(int argc, char** argv, EventWriter& events);

int run_push_command(int argc, char** argv, EventWriter& events);
int run_login_command(int argc, char** argv, EventWriter& events);
int run_tags_command(int argc, char** argv, EventWriter& events);
int run_search_command(int argc, char** argv, EventWriter& events);
int run_manifest_command(int argc, char** argv, EventWriter& events);

// Without the network: change the caller's files, with the caller's rights, and run helpers.
int run_keep_login_command(int argc, char** argv, EventWriter& events);
int run_logout_command(int argc, char** argv, EventWriter& events);

// Not for people: answers sampan-registry's questions for credentials on descriptor 4.
int run_credentials_command(int argc, char** argv, EventWriter& events);

}  // namespace cli
