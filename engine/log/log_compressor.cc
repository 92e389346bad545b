#include "engine/log/log_compressor.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/gzip.h"
#include "base/process.h"
#include "base/unique_fd.h"
#include "engine/log/log_file.h"

namespace engine {
namespace {

constexpr int kPolite = 10;

[[noreturn]] void compress_and_exit(int in, int out) noexcept {
  setpriority(PRIO_PROCESS, 0, kPolite);
  int status = 1;
  if (dup2(in, STDIN_FILENO) == STDIN_FILENO && dup2(out, STDOUT_FILENO) == STDOUT_FILENO &&
      close_range(STDERR_FILENO, ~0U, 0) == 0) {
    try {
      base::compress_gzip(STDIN_FILENO, STDOUT_FILENO);
      status = 0;
    } catch (const std::exception&) {  // no space: the file stays as it is
    }
  }
  _exit(status);
}

}  // namespace

std::filesystem::path LogCompressor::partial() const { return path_.string() + ".gz-partial"; }

// A copy of us, which needs no program and has nothing of ours open: not the container's lock, not
// its streams.
void LogCompressor::start(int file, int number) {
  const base::UniqueFd out(
      open(partial().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0640));
  if (!out) return;
  pid_ = fork();
  if (pid_ == 0) compress_and_exit(file, out.get());
  number_ = number;
  if (pid_ < 0) unlink(partial().c_str());
}

void LogCompressor::settle() {
  if (pid_ <= 0) return;
  int status = 0;
  const pid_t ended = waitpid(pid_, &status, WNOHANG);
  if (ended == 0 || (ended < 0 && errno == EINTR)) return;
  put_in_place(ended == pid_ && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

// The name of the file may have moved on meanwhile; past the last one it has gone.
void LogCompressor::put_in_place(bool succeeded) {
  pid_ = -1;
  const auto plain = rotated_log(path_, number_);
  if (!succeeded || access(plain.c_str(), F_OK) != 0 ||
      rename(partial().c_str(), compressed_log(path_, number_).c_str()) != 0) {
    unlink(partial().c_str());
    return;
  }
  unlink(plain.c_str());
}

LogCompressor::~LogCompressor() {
  if (pid_ <= 0) return;
  try {
    put_in_place(base::wait_for_child(pid_) == 0);
  } catch (const base::Error&) {  // the file stays as it was
  }
}

}  // namespace engine
