// run_criu: one request to the installed criu, whose failure is told in its own words.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "runtime/checkpoint.h"
#include "runtime/criu_rpc.h"

namespace runtime {

// What criu tells while it works: "setup-namespaces", "orphan-pts-master" with the descriptor.
struct CriuNotice {
  std::string moment;
  pid_t pid = 0;  // the first process
  base::UniqueFd fd;
};

struct CriuRequest {
  CriuAction action = CriuAction::kDump;
  std::optional<pid_t> pid;  // whom to dump
  std::string root;
  std::vector<std::string> external;
  std::vector<std::pair<std::string, int>> inherited;       // "pipe:[…]" and ours in its place
  std::vector<std::pair<std::string, std::string>> joined;  // "uts" and a namespace's path
  // Controllers, "" for v2, and the group that takes the place of the one that was saved.
  std::vector<std::pair<std::string, std::string>> cgroup_roots;
  std::string freeze_cgroup;  // absolute; empty: processes are stopped one by one
  std::string config_file;    // of options that win over all of these, where it is there
  bool leave_running = false, track_memory = false;
  // What it throws ends the request.
  std::function<void(CriuNotice&)> on_notice;
};

// Gives the id of a restored first process, which is our child. Throws kUnsupported where there is
// no criu, kSystem with the last reason in its log.
pid_t run_criu(const CriuOptions& options, const CriuRequest& request);

// Whether criu is there and has found what it needs of the kernel.
bool check_criu(const std::string& program);

}  // namespace runtime
