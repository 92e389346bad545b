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

}  // namespace engine
