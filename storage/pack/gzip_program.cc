#include "storage/pack/gzip_program.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/process.h"

namespace storage {
namespace {

constexpr const char* kPrograms[] = {"/usr/bin/gzip", "/bin/gzip"};

const char* find_program() {
  for (const char* path : kPrograms) {
    if (access(path, X_OK) == 0) return path;
  }
  return nullptr;
}

struct Pipe {
  base::UniqueFd reading, writing;
};

Pipe make_pipe() {
  int ends[2] = {-1, -1};
  base::check(pipe2(ends, O_CLOEXEC), "pipe");
  return {base::UniqueFd(ends[0]), base::UniqueFd(ends[1])};
}

}  // namespace

bool has_gzip_program() { return find_program() != nullptr; }

GzipProgram::GzipProgram(int level, Sink sink) : sink_(std::move(sink)) {
  const char* const program = find_program();
  if (program == nullptr) {
    throw base::Error(base::ErrorKind::kUnsupported, "the program gzip is not installed");
  }
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  base::SpawnOptions options;
  options.program = program;
  options.arguments = {"gzip", "-n", "-c", "-" + std::to_string(level)};
  options.environment.emplace();  // GZIP would change its options
  options.descriptors = {{in.reading.get(), 0}, {out.writing.get(), 1}, {-1, 2}};
  pid_ = base::spawn(options);
  input_ = std::move(in.writing);
  output_ = std::move(out.reading);
  base::check(fcntl(input_.get(), F_SETFL, O_NONBLOCK), "fcntl");
}

GzipProgram::~GzipProgram() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

bool GzipProgram::take_output() {
  std::array<char, 65536> buffer;
  const ssize_t count = base::check(read(output_.get(), buffer.data(), buffer.size()), "read");
  if (count == 0) return false;
  std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
  const std::size_t skipped = std::min(header_left_, bytes.size());
  header_left_ -= skipped;
  bytes.remove_prefix(skipped);
  if (!bytes.empty()) sink_(bytes);
  return true;
}

void GzipProgram::write(std::string_view bytes) {
  while (!bytes.empty()) {
    std::array<pollfd, 2> entries = {{{input_.get(), POLLOUT, 0}, {output_.get(), POLLIN, 0}}};
    if (poll(entries.data(), entries.size(), -1) < 0 && errno != EINTR) base::throw_errno("poll");
    if (entries[1].revents != 0 && !take_output()) {
      throw base::Error(base::ErrorKind::kSystem, "gzip ended early");
    }
    if (entries[0].revents == 0) continue;
    const ssize_t count = ::write(input_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno != EAGAIN && errno != EINTR) base::throw_errno("write to gzip");
    if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

void GzipProgram::finish() {
  input_.reset();
  while (take_output()) {
  }
  const int status = base::wait_for_child(pid_);
  pid_ = -1;
  if (status == 0) return;
  throw base::Error(base::ErrorKind::kSystem,
                    "gzip failed with exit code " + std::to_string(status));
}

}  // namespace storage
