// Changes: what users ask for about a container's files: commit and cp as typed requests.
#pragma once

#include <string>
#include <vector>

namespace engine {

struct CommitRequest {
  std::string author, message;
  std::vector<std::string> changes;  // Dockerfile instructions: "ENV A=b"
  std::string name;                  // REPOSITORY[:TAG]; empty: none
  bool pause = true;                 // a running container stands still meanwhile
};

struct CopyRequest {
  std::string container, container_path;
  std::string host_path;      // "-": a tar stream on our standard input or output
  std::string working_dir;    // where a relative host_path begins
  bool archive = false;       // owners, too
  bool follow_links = false;  // of the source: a link at its end
};

}  // namespace engine
