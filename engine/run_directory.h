// RunDirectory: <state>/<id>/, what a container has while it is starting or running: its lock, its
// bundle, its attach socket. A directory whose lock nobody holds is a leftover.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/unique_fd.h"

namespace engine {

namespace fs = std::filesystem;

class RunDirectory {
 public:
  static constexpr char kGonePrefix[] = ".gone-";  // a directory that somebody is removing

  RunDirectory(const fs::path& state, std::string_view id) : path_(state / id) {}

  const fs::path& path() const { return path_; }  // also the bundle: config.json, hosts, …
  fs::path runtime() const { return path_ / "runtime"; }
  fs::path attach_socket() const { return path_ / "attach.sock"; }
  fs::path network_file() const { return path_ / "network.json"; }

  // Makes the directory and takes its lock: an open file description lock (fcntl(2)), which whoever
  // inherits or is sent the descriptor holds too. nullopt where another has it.
  std::optional<base::UniqueFd> try_lock() const;

  // Whether somebody holds the lock; takes nothing, so that two who look never disturb each other.
  bool is_locked() const;

  // Removes the directory; its lock must be held.
  void remove() const noexcept;

 private:
  fs::path path_;
};

}  // namespace engine
